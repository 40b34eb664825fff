import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type Clock, systemClock, type Timer } from '../clock.js';
import { type Deferred, deferred } from '../deferred.js';
import { asMnerError, MnerError } from '../errors.js';
import { type Emit, silent } from '../telemetry/events.js';
import { type Channel, openChildChannel } from './channel.js';
import type { HostedModel, InferenceHost, Tensors } from './port.js';
import { reportProvider, type SessionOptions, sessionSettings } from './settings.js';
import type { FromChild, ToChild } from './wire.js';

export interface ProcessHostOptions extends SessionOptions {
  readonly models: readonly HostedModel[];
  readonly clock?: Clock;
  readonly emit?: Emit;
  /** A run that takes longer is taken for hung, and its process is killed, in ms. @default 30000 */
  readonly runTimeoutMs?: number;
  /** Time for loading the models, in ms. @default 120000 */
  readonly startTimeoutMs?: number;
  /** Starts in a row that may fail before the host gives up. @default 4 */
  readonly startAttempts?: number;
  /** Wait before a restart, in ms; doubles with each failure in a row, up to 5 s. @default 100 */
  readonly backOffMs?: number;
  /** The program of the process. @default host-child.js beside this file */
  readonly program?: string;
}

/** An inference host in a child process, and the id of that process while there is one. */
export interface ProcessHost extends InferenceHost {
  readonly pid: number | null;
  /** Whether a call would go to a process that has its models; not while one is started again. */
  readonly ready: boolean;
}

interface Request {
  readonly id: number;
  readonly model: string;
  readonly feeds: Tensors;
  readonly begun: (() => void) | undefined;
  readonly resolve: (outputs: Tensors) => void;
  readonly reject: (error: MnerError) => void;
}

const MAX_BACK_OFF_MS = 5000;
const STOP_GRACE_MS = 10_000;
/** Of what a dying process says on stderr, so much goes into the log. */
const LAST_WORDS = 2000;

/**
 * An inference host in a child process: neither a native crash nor the kernel's out-of-memory killer takes the consumer out of
 * its group. When the process dies, the request that it was running fails, and is the caller's to try again ({@link runBisected}: it may
 * not have been at fault); the process is started again after a wait, and what had not begun is sent to it in the same order.
 */
export function createProcessHost({
  models,
  clock = systemClock,
  emit = silent,
  runTimeoutMs = 30_000,
  startTimeoutMs = 120_000,
  startAttempts = 4,
  backOffMs = 100,
  program = fileURLToPath(new URL('./host-child.js', import.meta.url)),
  ...options
}: ProcessHostOptions): ProcessHost {
  let state: 'new' | 'starting' | 'ready' | 'waiting' | 'broken' | 'stopping' | 'stopped' = 'new';
  let child: ChildProcess | null = null;
  let channel: Channel | null = null;
  let provider = '';
  /** Starts, or runs, that ended in death one after the other, with no answer between them. */
  let failures = 0;
  /** Those of them that were starts, with no process that got ready between them. */
  let failedStarts = 0;
  let nextId = 0;
  /** In the order of arrival; the first is the one that runs, since the child takes them one by one. */
  const requests = new Map<number, Request>();
  let watchdog: Timer | null = null;
  let backOff: Timer | null = null;
  let broken: MnerError | null = null;
  let started: Deferred | null = null;
  let stopping: Promise<void> | null = null;

  const watch = (ms: number, what: string) => {
    watchdog?.cancel();
    watchdog = clock.after(ms, () => {
      emit({ type: 'note', level: 'error', message: `The inference process ${what} for ${ms} ms; it is killed.` });
      child?.kill('SIGKILL');
    });
  };
  /** For the request whose turn it is, if there is one. */
  const watchFirst = () => {
    watchdog?.cancel();
    const [first] = requests.values();
    if (!first) return;
    watch(runTimeoutMs, 'has been silent');
    first.begun?.();
  };

  const giveUp = (error: MnerError) => {
    state = 'broken';
    broken = error;
    started?.reject(error);
    for (const request of requests.values()) request.reject(error);
    requests.clear();
  };

  const spawn = () => {
    state = 'starting';
    const spawned = fork(program, [], {
      execArgv: [],
      env: environment(),
      stdio: ['ignore', 'ignore', 'pipe', 'ipc', 'pipe'],
    });
    child = spawned;
    const heard = (message: unknown) => {
      if (child === spawned) onMessage(message as FromChild);
    };
    let words = '';
    let over = false;
    spawned.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
      words = (words + chunk).slice(-LAST_WORDS);
    });
    const died = (how: string) => {
      if (over) return;
      over = true;
      // A child whose replacement already runs has nothing more to say.
      if (child === spawned) onDeath(how, words);
    };
    channel = openChildChannel(spawned, { heard, broken: () => spawned.kill('SIGKILL') });
    spawned.on('error', (error) => died(error.message));
    spawned.on('exit', (code, signal) => died(signal ? `was ended by ${signal}` : `exited with code ${code}`));
    watch(startTimeoutMs, 'has been loading its models');
    post({ type: 'start', models, settings: sessionSettings(options) });
  };

  const post = (message: ToChild) => {
    // One that does not get through means that the process is gone; its `exit` sends everything again.
    channel?.send(message);
  };

  const onMessage = (message: FromChild) => {
    switch (message.type) {
      case 'ready':
        provider = message.provider;
        if (state !== 'starting') return;
        state = 'ready';
        failedStarts = 0;
        reportProvider(emit, message.provider, message.refused);
        if (failures > 0) emit({ type: 'note', level: 'info', message: 'The inference process is ready again.' });
        started?.resolve();
        for (const { id, model, feeds } of requests.values()) post({ type: 'run', id, model, feeds });
        watchFirst();
        return;
      case 'failed':
        watchdog?.cancel();
        // What is wrong with a bundle or a provider stays wrong: no second try.
        giveUp(new MnerError(message.code, message.message));
        post({ type: 'stop' });
        return;
      case 'result':
      case 'refused': {
        failures = 0;
        const request = requests.get(message.id);
        requests.delete(message.id);
        watchFirst();
        if (message.type === 'result') request?.resolve(message.outputs);
        else request?.reject(new MnerError(message.code, message.message));
        return;
      }
    }
  };

  const onDeath = (how: string, words: string) => {
    child = null;
    watchdog?.cancel();
    if (state === 'broken' || state === 'stopping' || state === 'stopped') return;
    const wasStarting = state === 'starting';
    failures++;
    emit({ type: 'inference_restart' });
    emit({
      type: 'note',
      level: 'error',
      message: `The inference process ${how}${wasStarting ? ' before it was ready' : ''}.`,
      ...(words ? { detail: { stderr: words } } : {}),
    });
    if (wasStarting && ++failedStarts >= startAttempts) {
      giveUp(new MnerError('inference_unavailable', `The inference process ${how} at each of ${failedStarts} starts.`));
      return;
    }
    // Only the first request was running. Those behind it had not begun, and are not to blame.
    const [running] = requests.values();
    if (!wasStarting && running) {
      requests.delete(running.id);
      running.reject(new MnerError('inference_poison', `The inference process ${how} while it ran this batch.`));
    }
    state = 'waiting';
    backOff = clock.after(Math.min(MAX_BACK_OFF_MS, backOffMs * 2 ** (failures - 1)), spawn);
  };

  /** Resolves when the process is gone. Requests that are under way are answered first: the child takes `stop` in its turn. */
  const end = async () => {
    const last = child;
    state = 'stopping';
    backOff?.cancel();
    if (last) {
      await new Promise<void>((resolve) => {
        const grace = clock.after(STOP_GRACE_MS, () => last.kill('SIGKILL'));
        const gone = () => {
          grace.cancel();
          resolve();
        };
        if (last.exitCode !== null || last.signalCode !== null) return gone();
        last.once('exit', gone);
        last.once('error', gone);
        post({ type: 'stop' });
      });
    }
    watchdog?.cancel();
    state = 'stopped';
    const error = gone('was stopped');
    started?.reject(error);
    for (const request of requests.values()) request.reject(error);
    requests.clear();
  };

  return {
    start() {
      if (stopping) return Promise.reject(gone('was stopped'));
      if (!started) {
        started = deferred();
        spawn();
      }
      return started.promise;
    },
    get provider() {
      return provider;
    },
    get pid() {
      return child?.pid ?? null;
    },
    get ready() {
      return state === 'ready';
    },
    run(model, feeds, begun) {
      if (broken) return Promise.reject(broken);
      if (state === 'new') return Promise.reject(gone('was not started'));
      if (stopping) return Promise.reject(gone('was stopped'));
      return new Promise((resolve, reject) => {
        const request = { id: nextId++, model, feeds, begun, resolve, reject };
        requests.set(request.id, request);
        if (state !== 'ready') return;
        post({ type: 'run', id: request.id, model, feeds });
        if (requests.size === 1) watchFirst();
      });
    },
    stop() {
      stopping ??= end().catch((error: unknown) => {
        throw asMnerError(error);
      });
      return stopping;
    },
  };
}

/** The worker's environment without its configuration: the child needs no password of Kafka's or Redis's. */
function environment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(?:MNER|KAFKA|REDIS)_/.test(name)));
}

function gone(why: string): MnerError {
  return new MnerError('inference_unavailable', `The inference host ${why}.`);
}
