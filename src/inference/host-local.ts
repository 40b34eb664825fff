import { MnerError } from '../errors.js';
import { type Emit, silent } from '../telemetry/events.js';
import type { HostedModel, InferenceHost } from './port.js';
import type { Sessions } from './sessions.js';
import { reportProvider, type SessionOptions, sessionSettings } from './settings.js';

export interface LocalHostOptions extends SessionOptions {
  readonly models: readonly HostedModel[];
  readonly emit?: Emit;
}

/**
 * An inference host in this process. A call blocks the event loop for as long as it takes (ONNX Runtime runs it
 * synchronously), so it suits tools and tests rather than a worker.
 */
export function createLocalHost({ models, emit = silent, ...options }: LocalHostOptions): InferenceHost {
  let sessions: Sessions | null = null;
  let starting: Promise<void> | null = null;
  let stopped = false;
  /** Ends when the last call has: calls run one after the other. */
  let tail: Promise<unknown> = Promise.resolve();
  let calls = 0;

  const open = async () => {
    // Loaded only here, so that a worker with its sessions in a child process never maps the native library itself.
    const { openSessions } = await import('./sessions.js');
    const opened = await openSessions(models, sessionSettings(options));
    reportProvider(emit, opened.provider, opened.refused);
    sessions = opened;
  };

  return {
    start() {
      if (stopped) return Promise.reject(gone('was stopped'));
      starting ??= open();
      return starting;
    },
    get provider() {
      return sessions?.provider ?? '';
    },
    run(model, feeds, begun) {
      const first = calls++ === 0;
      if (first) begun?.();
      const result = tail
        .then(() => {
          if (!sessions) throw gone(stopped ? 'was stopped' : 'was not started');
          if (!first) begun?.();
          return sessions.run(model, feeds);
        })
        .finally(() => calls--);
      tail = result.catch(() => {});
      return result;
    },
    async stop() {
      stopped = true;
      await starting?.catch(() => {});
      const ended = tail.then(async () => {
        const open = sessions;
        sessions = null;
        await open?.release();
      });
      tail = ended.catch(() => {});
      await ended;
    },
  };
}

function gone(why: string): MnerError {
  return new MnerError('inference_unavailable', `The inference host ${why}.`);
}
