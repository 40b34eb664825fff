import { type ChildProcess, fork } from 'node:child_process';
import type { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import type { Clock } from '../clock.js';
import { asMnerError, MnerError } from '../errors.js';
import type { Emit, Event } from '../telemetry/events.js';
import type { Decoded } from './decode.js';
import { bareEnvironment, limited, watchMemory } from './decode-limits.js';
import { type DecodeSettings, type FromDecoder, readMessage } from './decode-wire.js';

export interface DecodeProcessOptions extends DecodeSettings {
  readonly timeoutMs: number;
  readonly startTimeoutMs: number;
  readonly maxMemoryBytes: number;
  readonly program: string | undefined;
  /**
   * Pictures after which a process is replaced: what libraries leak stays bounded, and so does what a picture left behind.
   * @default 10000
   */
  readonly pictures?: number;
  readonly clock: Clock;
  readonly emit: Emit;
}

/** One decoding process, which takes one picture at a time: whatever ends it, the picture in it is to blame. */
export interface DecodeProcess {
  /**
   * Starts the process if there is none. `died`: the process ended under this picture, and not by our hand.
   * @throws MnerError `decoder_unavailable` when the process does not start, or is stopped
   */
  decode(bytes: Uint8Array): Promise<Decoded | { readonly status: 'died' }>;
  /** Ends the process at once; resolves when it is gone. */
  stop(): Promise<void>;
  readonly pid: number | null;
}

/** Why a process ended; the last two are no failures. */
type Reason = Extract<Event, { type: 'decoder_end' }>['reason'] | 'stopped' | 'replaced';
type News = FromDecoder | { readonly type: 'end'; readonly how: string; readonly reason: Reason };

interface Child {
  readonly process: ChildProcess;
  ready: boolean;
  /** Pictures that it was given. */
  pictures: number;
  /** Why we killed it. */
  killed: Reason | null;
  ended: Extract<News, { type: 'end' }> | null;
  readonly exited: Promise<void>;
  /** Whoever waits for what it says next. */
  hear: (news: News) => void;
}

/** Of what a dying process says on stderr, so much goes into the log. */
const LAST_WORDS = 500;
/** How it ends when it has used up its CPU time, which is nobody's fault. */
const WORN_OUT = 'was ended by SIGXCPU';

export function createDecodeProcess(options: DecodeProcessOptions): DecodeProcess {
  const { size, maxPixels, timeoutMs, startTimeoutMs, maxMemoryBytes, clock, emit, pictures = 10_000 } = options;
  const program = options.program ?? fileURLToPath(new URL('./decode-child.js', import.meta.url));
  let child: Child | null = null;
  let stopped = false;

  function launch(): Child {
    const spawned = fork(program, [JSON.stringify({ size, maxPixels } satisfies DecodeSettings)], {
      serialization: 'advanced',
      env: bareEnvironment(),
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      ...limited(maxMemoryBytes),
    });
    let gone = () => {};
    const started: Child = {
      process: spawned,
      ready: false,
      pictures: 0,
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
      report(started.ended, words);
      started.hear(started.ended);
    };
    spawned.on('message', (message) => {
      const news = readMessage(message, size);
      // It says once that it is ready, and then only answers.
      if (news === null || (news.type === 'ready') === started.ready) return kill(started, 'crashed');
      started.ready = true;
      started.hear(news);
    });
    spawned.on('error', (error) => ended(`failed: ${error.message}`));
    spawned.on('exit', (code, signal) => ended(signal ? `was ended by ${signal}` : `exited with code ${code}`));
    return started;
  }

  function report({ how, reason }: Extract<News, { type: 'end' }>, words: string): void {
    if (reason === 'stopped' || reason === 'replaced') return;
    emit({ type: 'decoder_end', reason });
    emit({
      type: 'note',
      level: 'warn',
      message: `The decoding process ${REASONS[reason] ?? how}.`,
      ...(words ? { detail: { stderr: words } } : {}),
    });
  }

  /** What the process says next, or its end, which comes after `ms` milliseconds at the latest. */
  async function next(from: Child, ms: number, say?: Uint8Array): Promise<News> {
    if (from.ended) return from.ended;
    const pid = from.process.pid;
    const guards = [
      clock.after(ms, () => kill(from, 'timed_out')),
      ...(pid ? [watchMemory(pid, maxMemoryBytes, clock, () => kill(from, 'memory'))] : []),
    ];
    keepAlive(from, true);
    try {
      return await new Promise<News>((resolve) => {
        from.hear = resolve;
        // A send that fails means that the process is gone; its `exit` answers.
        if (say) from.process.send(say, () => {});
      });
    } finally {
      from.hear = () => {};
      keepAlive(from, false);
      for (const guard of guards) guard.cancel();
    }
  }

  async function ready(): Promise<Child> {
    if (stopped) throw unavailable('was stopped');
    if (child && child.pictures >= pictures) {
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
    const news = await next(mine, startTimeoutMs);
    if (news.type === 'end') throw unavailable(`${REASONS[news.reason] ?? news.how} before it was ready`);
    return mine;
  }

  return {
    async decode(bytes) {
      const mine = await ready();
      mine.pictures += 1;
      const news = await next(mine, timeoutMs, bytes);
      if (news.type === 'answer') return news.decoded;
      if (news.type === 'ready' || news.reason === 'crashed' || news.reason === 'replaced') return { status: 'died' };
      if (news.reason === 'stopped') throw unavailable('was stopped');
      return {
        status: 'unreadable',
        detail:
          news.reason === 'memory'
            ? 'decoding it takes too much memory'
            : `decoding it takes more than ${timeoutMs} ms`,
      };
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

/** Nothing of it is worth an orderly end, and a thread that spins would never come to one. */
function kill(child: Child, reason: Reason): void {
  child.killed ??= reason;
  child.process.kill('SIGKILL');
}

/** Whether this process waits for the child before it exits by itself. */
function keepAlive({ process: spawned }: Child, on: boolean): void {
  if (on) {
    spawned.ref();
    spawned.channel?.ref();
  } else {
    spawned.unref();
    spawned.channel?.unref();
  }
}

function unavailable(how: string): MnerError {
  return new MnerError('decoder_unavailable', `The decoding process ${how}.`);
}
