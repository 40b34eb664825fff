import { asMnerError, MnerError } from '../errors.js';
import { createProcessHost, type ProcessHost } from '../inference/host-process.js';
import type { InferenceHost } from '../inference/port.js';
import type { Provider } from '../inference/settings.js';
import { hostOptions, type Models, VISION } from '../models.js';
import { selfTest } from './self-test.js';
import type { Ground } from './served-model.js';

export type TestGround = Pick<Ground, 'config' | 'clock' | 'emit'>;

/**
 * Starts a process on the first execution provider that not only starts but also says what the bundles' self-tests expect. A driver may
 * be there and yet lack an operator, or half precision, which nothing but a run shows.
 *
 * @throws MnerError `bad_bundle`, `provider_unavailable`, `inference_unavailable`
 */
export async function openTested(
  models: Models,
  { config, clock, emit }: TestGround,
  threads: number,
): Promise<ProcessHost> {
  const { hosted } = models;
  let providers = config.providers;
  for (;;) {
    const host = createProcessHost({ ...hostOptions(config), threads, providers, models: hosted, clock, emit });
    try {
      await host.start();
      await testAll(models, host);
      return host;
    } catch (thrown) {
      const { provider } = host;
      await host.stop();
      const error = asMnerError(thrown);
      if (error.code !== 'bad_bundle' || provider === '' || provider === 'cpu') throw error;
      const reason = `The execution provider ${provider} cannot run the model: ${error.message}`;
      providers = providers.slice(providers.indexOf(provider as Provider) + 1);
      if (config.providers_fallback === 'refuse' || providers.length === 0)
        throw new MnerError('provider_unavailable', reason, { cause: error });
      emit({ type: 'note', level: 'warn', message: `${reason} The next one is tried.` });
    }
  }
}

/** Puts the bundles to their self-tests. @throws MnerError `bad_bundle` */
export async function testAll({ ner, vision }: Models, host: InferenceHost): Promise<void> {
  await selfTest(ner, host, ner.model.name);
  if (vision) await selfTest(vision, host, VISION);
}
