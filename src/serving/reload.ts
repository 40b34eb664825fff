import { asMnerError, MnerError } from '../errors.js';
import type { Emit } from '../telemetry/events.js';
import type { Role, Roster } from './roster.js';

/** What came of asking for the bundles anew. */
export type Reloaded =
  /** `bundles`: those that took over, as `name@version`; none when nothing had changed on the disk. */
  { readonly ok: true; readonly bundles: readonly string[] } | { readonly ok: false; readonly error: MnerError };

/** A model that can be told from another, and ended. */
export interface Replaceable {
  readonly identity: string;
  readonly model: () => { readonly bundle: string; readonly version: string };
  stop(): Promise<void>;
}

export interface ReloaderParts<Model extends Replaceable> {
  readonly roster: Roster<Model>;
  /**
   * Reads a role's bundles from the disk and checks them.
   *
   * @returns `open` starts a model of them, warm and tested
   * @throws MnerError `bad_bundle`
   */
  readonly load: (role: Role) => Promise<{ readonly identity: string; readonly open: () => Promise<Model> }>;
  /** Another model works from now on. */
  readonly tookOver: () => void;
  readonly emit: Emit;
}

/** Takes in new bundles while the old ones go on working. */
export interface Reloader {
  /**
   * Loads what has changed on the disk beside what runs, checks it, and lets it take over between two tweets. When anything is wrong
   * with any of it, everything stays as it is, and `mner_degraded{reason="reload"}` is 1 until a reload succeeds. Never
   * throws; a call during a reload is one more reload after it.
   */
  reload(): Promise<Reloaded>;
  /** Ends the models that were replaced. A reload that is under way takes nothing over any more, and is waited for. */
  stop(): Promise<void>;
}

export function createReloader<Model extends Replaceable>(parts: ReloaderParts<Model>): Reloader {
  const { roster, load, tookOver, emit } = parts;
  /** Ends when the last reload has. */
  let tail: Promise<unknown> = Promise.resolve();
  let next: Promise<Reloaded> | null = null;
  /** Models that were replaced, and still have tweets. */
  const retiring = new Set<Model>();
  let stopped = false;

  const reload = async (): Promise<Reloaded> => {
    const roles: Role[] = roster.canary ? ['stable', 'canary'] : ['stable'];
    const opened: { role: Role; model: Model }[] = [];
    try {
      for (const role of roles) {
        const { identity, open } = await load(role);
        if (identity !== roster[role]?.identity) opened.push({ role, model: await open() });
      }
      if (stopped) throw new MnerError('inference_unavailable', 'The worker is stopping.');
    } catch (thrown) {
      const error = asMnerError(thrown);
      // All or nothing: a canary that fails leaves the stable bundle where it was too.
      await Promise.all(opened.map(({ model }) => end(model)));
      emit({ type: 'degraded', reason: 'reload', on: true });
      emit({ type: 'reload', result: 'failed' });
      const message = `The new bundle was not taken; the old one goes on. ${error.message}`;
      emit({ type: 'note', level: 'error', message, detail: { code: error.code } });
      return { ok: false, error };
    }
    for (const { role, model } of opened) retire(roster[role], roster.replace(role, model));
    tookOver();
    const bundles = opened.map(({ model }) => `${model.model().bundle}@${model.model().version}`);
    emit({ type: 'degraded', reason: 'reload', on: false });
    emit({ type: 'reload', result: bundles.length > 0 ? 'done' : 'unchanged' });
    const message = bundles.length > 0 ? `${bundles.join(' and ')} took over.` : 'No bundle has changed on the disk.';
    emit({ type: 'note', level: 'info', message });
    return { ok: true, bundles };
  };

  /** Nobody waits for its end who could do anything about it: where it does not succeed, it is said. */
  const end = async (model: Model) => {
    try {
      await model.stop();
    } catch (thrown) {
      const { code, message } = asMnerError(thrown);
      const what = 'A model that is not used any more could not be stopped.';
      emit({ type: 'note', level: 'error', message: what, detail: { code, message } });
    }
  };

  /** The tweets that began with a model end with it; then it goes. */
  const retire = (old: Model | null, idle: Promise<unknown>) => {
    if (!old) return;
    retiring.add(old);
    void idle.then(() => end(old)).then(() => retiring.delete(old));
  };

  return {
    reload() {
      next ??= tail.then(() => {
        next = null;
        const running = reload();
        tail = running;
        return running;
      });
      return next;
    },
    async stop() {
      stopped = true;
      await next;
      await tail;
      await Promise.all([...retiring].map(end));
    },
  };
}
