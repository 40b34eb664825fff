import type { Emit } from '../telemetry/events.js';
import type { Roster } from './roster.js';
import type { ServedModel } from './served-model.js';

/** What is told of a model: its bundles, and the execution provider that it runs on by now. */
export type Told = {
  readonly models: {
    readonly ner: { readonly manifest: Named };
    readonly vision: { readonly manifest: Named } | null;
  };
  readonly model: () => Pick<ReturnType<ServedModel['model']>, 'provider'>;
};

interface Named {
  readonly name: string;
  readonly version: string;
}

/**
 * Tells which bundles are in use and on which execution provider, and whether one of them runs on another provider than the first of the
 * order (`mner_degraded{reason="provider"}`). It looks at the models that read tweets, at all of them, since no process can say it for
 * the worker: one that is only being tried for a reload counts for nothing, one that starts again is not told which providers
 * were given up before, and a canary may be well where the stable model is not.
 *
 * @param providers in the order of preference
 * @returns to be called when something may have changed: a model took over, a process is ready, perhaps on another provider; what has
 * not changed is not told again
 */
export function createInUse(roster: Roster<Told>, providers: readonly string[], emit: Emit): () => void {
  let told = new Map<string, { readonly bundle: string; readonly version: string; readonly provider: string }>();
  let degraded = false;
  return () => {
    const working = [roster.stable, roster.canary].filter((model) => model !== null);
    const now: typeof told = new Map();
    for (const { models, model } of working) {
      const { provider } = model();
      for (const bundle of [models.ner, models.vision])
        if (bundle) {
          const { name, version } = bundle.manifest;
          now.set(JSON.stringify([name, version, provider]), { bundle: name, version, provider });
        }
    }
    for (const [key, one] of told) if (!now.has(key)) emit({ type: 'model_gone', ...one });
    for (const [key, one] of now) if (!told.has(key)) emit({ type: 'model', ...one });
    told = now;
    // A host that is given in place of a model may name a provider that nobody knows: it stands behind none.
    const fellBack = working.some(({ model }) => providers.indexOf(model().provider) > 0);
    if (fellBack !== degraded) emit({ type: 'degraded', reason: 'provider', on: fellBack });
    degraded = fellBack;
  };
}
