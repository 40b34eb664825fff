import { type ChildProcess, fork } from 'node:child_process';
import type { Socket } from 'node:net';
import type { Clock } from '../clock.js';
import { asMnerError, MnerError } from '../errors.js';
import { type Channel, openChildChannel, pipeOf } from '../inference/channel.js';
import { bareEnvironment, limited, watchMemory } from './decode-limits.js';

export interface GuardedProcessOptions<A extends Answer> {
  /** As in "The decoding process crashed". */
  readonly name: string;
  /** A file of JavaScript. */
  readonly program: string;
  /** What it gets as its only argument, in JSON. */
  readonly settings: object;
  /** What a message of it says; null when it is none that an honest one sends. */
  readonly readMessage: (message: unknown) => { readonly type: 'ready' } | A | null;
  /** Milliseconds that one task may take. */
  readonly timeoutMs: number;
  readonly startTimeoutMs: number;
  readonly maxMemoryBytes: number;
  /** Threads of JavaScript in it. @default 1 */
  readonly threads?: number;
  /**
   * Tasks after which the process is replaced: what libraries leak stays bounded, and so does what a task left behind.
   * @default 10000
   */
  readonly tasks?: number;
  readonly clock: Clock;
  /** The process ended, and neither because it was stopped nor because it was worn out. */
  readonly failed: (reason: Failure, message: string, lastWords: string) => void;
}

export interface Answer {
  readonly type: 'answer';
}

/** Why a process failed. */
export type Failure = 'crashed' | 'timed_out' | 'memory';
/** Why a process ended; the last two are no failures. */
type Reason = Failure | 'stopped' | 'replaced';
interface End {
  readonly type: 'end';
  readonly how: string;
  readonly reason: Reason;
}
type News<A> = { readonly type: 'ready' } | A | End;

/** A child process that takes one task at a time: whatever ends it, the task in it is to blame. */
export interface GuardedProcess<A extends Answer> {
  /**
   * Starts the process if there is none; resolves when it is ready for a task. Only while it has none.
   * @throws MnerError `decoder_unavailable` as {@link ask}
   */
  start(): Promise<void>;
  /**
   * Starts the process if there is none. `died`: the process ended under this task, and not by our hand; `timed_out` and
   * `memory`: it was killed for that.
   * @throws MnerError `decoder_unavailable` when the process does not start, or is stopped
   */
  ask(task: object): Promise<A | { readonly type: 'died' | 'timed_out' | 'memory' }>;
  /** Ends the process at once; resolves when it is gone. */
  stop(): Promise<void>;
  readonly pid: number | null;
}

interface Child<A> {
  readonly process: ChildProcess;
  readonly channel: Channel | null;
  ready: boolean;
  /** What it said first, for all who wait for that. */
  first: Promise<News<A>> | null;
  /** Tasks that it was given. */
  tasks: number;
  /** Why we killed it. */
  killed: Reason | null;
  ended: End | null;
  readonly exited: Promise<void>;
  /** Whoever waits for what it says next. */
  hear: (news: News<A>) => void;
}

/** Pixels and a second picture in grey are a tenth of it. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;
/** Of what a dying process says on stderr, so much goes into the log. */
const LAST_WORDS = 500;
/** How it ends when it has used up its CPU time, which is nobody's fault. */
const WORN_OUT = 'was ended by SIGXCPU';

/** A process for work on what strangers made, with a limit of memory and of time, and none of the worker's environment. */
export function createGuardedProcess<A extends Answer>(options: GuardedProcessOptions<A>): GuardedProcess<A> {
  const { name, program, settings, readMessage, timeoutMs, startTimeoutMs, maxMemoryBytes, clock, failed } = options;
  const tasks = options.tasks ?? 10_000;
  let child: Child<A> | null = null;
  let stopped = false;

  function launch(): Child<A> {
    const spawned = fork(program, [JSON.stringify(settings)], {
      env: bareEnvironment(),
      stdio: ['ignore', 'ignore', 'pipe', 'ipc', 'pipe'],
      ...limited(maxMemoryBytes, undefined, options.threads),
    });
    let gone = () => {};
    const heard = (message: unknown) => {
      const news = readMessage(message);
      // It says once that it is ready, and then only answers.
      if (news === null || (news.type === 'ready') === started.ready) return kill(started, 'crashed');
      started.ready = true;
      started.hear(news);
    };
    const broken = () => kill(started, 'crashed');
    const started: Child<A> = {
      process: spawned,
      channel: openChildChannel(spawned, { heard, broken }, MAX_ANSWER_BYTES),
      ready: false,
      first: null,
      tasks: 0,
      killed: null,
      ended: null,
      exited: new Promise((resolve) => {
        gone = resolve;
      }),
      hear: () => {},
    };
    let words = '';
    spawned.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
      words = (words + chunk).slice(-LAST_WORDS);
    });
    // While it has nothing to do, it keeps nobody alive.
    (spawned.stderr as Socket | null)?.unref();
    keepAlive(started, false);
    const ended = (how: string) => {
      if (started.ended) return;
      const reason = started.killed ?? (how === WORN_OUT ? 'replaced' : 'crashed');
      started.ended = { type: 'end', how, reason };
      if (child === started) child = null;
      gone();
      if (reason !== 'stopped' && reason !== 'replaced') {
        failed(reason, `The ${name} ${REASONS[reason] ?? how}.`, words);
      }
      started.hear(started.ended);
    };
    spawned.on('error', (error) => ended(`failed: ${error.message}`));
    spawned.on('exit', (code, signal) => ended(signal ? `was ended by ${signal}` : `exited with code ${code}`));
    return started;
  }

  /** What the process says next, or its end, which comes after `ms` milliseconds at the latest. */
  async function next(from: Child<A>, ms: number, say?: object): Promise<News<A>> {
    if (from.ended) return from.ended;
    const pid = from.process.pid;
    const guards = [
      clock.after(ms, () => kill(from, 'timed_out')),
      ...(pid ? [watchMemory(pid, maxMemoryBytes, clock, () => kill(from, 'memory'))] : []),
    ];
    keepAlive(from, true);
    try {
      return await new Promise<News<A>>((resolve) => {
        from.hear = resolve;
        // One that does not get through means that the process is gone; its `exit` answers.
        if (say) from.channel?.send(say);
      });
    } finally {
      from.hear = () => {};
      keepAlive(from, false);
      for (const guard of guards) guard.cancel();
    }
  }

  async function ready(): Promise<Child<A>> {
    if (stopped) throw unavailable('was stopped');
    if (child && child.tasks >= tasks) {
      kill(child, 'replaced');
      child = null;
    }
    try {
      child ??= launch();
    } catch (error) {
      throw unavailable(`could not be started: ${asMnerError(error).message}`);
    }
    const mine = child;
    if (mine.ready) return mine;
    mine.first ??= next(mine, startTimeoutMs);
    const news = await mine.first;
    if (news.type === 'end') throw unavailable(`${REASONS[news.reason] ?? news.how} before it was ready`);
    return mine;
  }

  function unavailable(how: string): MnerError {
    return new MnerError('decoder_unavailable', `The ${name} ${how}.`);
  }

  return {
    async start() {
      await ready();
    },
    async ask(task) {
      const mine = await ready();
      mine.tasks += 1;
      const news = await next(mine, timeoutMs, task);
      if (isEnd(news)) {
        if (news.reason === 'stopped') throw unavailable('was stopped');
        return { type: news.reason === 'timed_out' || news.reason === 'memory' ? news.reason : 'died' };
      }
      return isReady(news) ? { type: 'died' } : news;
    },
    async stop() {
      stopped = true;
      if (!child) return;
      const last = child;
      kill(last, 'stopped');
      await last.exited;
    },
    get pid() {
      return child?.process.pid ?? null;
    },
  };
}

const REASONS: Partial<Record<Reason, string>> = {
  timed_out: 'took too long and was killed',
  memory: 'took too much memory and was killed',
  stopped: 'was stopped',
};

function isEnd<A extends Answer>(news: News<A>): news is End {
  return news.type === 'end';
}

function isReady<A extends Answer>(news: A | { readonly type: 'ready' }): news is { readonly type: 'ready' } {
  return news.type === 'ready';
}

/** Nothing of it is worth an orderly end, and a thread that spins would never come to one. */
function kill(child: Pick<Child<never>, 'process' | 'killed'>, reason: Reason): void {
  child.killed ??= reason;
  child.process.kill('SIGKILL');
}

/** Whether this process waits for the child before it exits by itself. */
function keepAlive({ process: spawned }: Pick<Child<never>, 'process'>, on: boolean): void {
  for (const one of [spawned, spawned.channel, pipeOf(spawned)]) {
    if (on) one?.ref();
    else one?.unref();
  }
}
