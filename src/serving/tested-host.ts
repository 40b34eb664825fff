import { asMnerError, MnerError } from '../errors.js';
import { createHostPool } from '../inference/host-pool.js';
import { createProcessHost } from '../inference/host-process.js';
import type { InferenceHost } from '../inference/port.js';
import type { Provider } from '../inference/settings.js';
import type { Tuning } from '../inference/speed-file.js';
import { hostOptions, type Models, VISION } from '../models.js';
import { selfTest } from './self-test.js';
import type { Ground } from './served-model.js';

type TestGround = Pick<Ground, 'config' | 'clock' | 'emit'>;

/** Inference processes that work side by side, and the threads of each. */
export type Division = Pick<Tuning, 'processes' | 'threads'>;

/** Started processes as one host, and how many they are: on an accelerator always one. */
export interface Pool {
  readonly host: InferenceHost;
  readonly division: Division;
}

/**
 * Starts so many processes, as {@link openTested} does.
 *
 * @throws MnerError `bad_bundle`, `provider_unavailable`, `inference_unavailable`
 */
export async function openPool(models: Models, ground: TestGround, { processes, threads }: Division): Promise<Pool> {
  const first = await openTested(models, ground, threads);
  if (processes === 1 || first.provider !== 'cpu') return { host: first, division: { processes: 1, threads } };
  const onCpu: TestGround = { ...ground, config: { ...ground.config, providers: ['cpu'] } };
  const others = await Promise.allSettled(
    Array.from({ length: processes - 1 }, () => openTested(models, onCpu, threads)),
  );
  const hosts = [first, ...others.flatMap((other) => (other.status === 'fulfilled' ? [other.value] : []))];
  const failed = others.find((other) => other.status === 'rejected');
  if (!failed) return { host: createHostPool(hosts), division: { processes, threads } };
  await Promise.all(hosts.map((host) => host.stop()));
  throw failed.reason;
}

/**
 * Starts a process on the first execution provider that not only starts but also says what the bundles' self-tests expect. A driver may
 * be there and yet lack an operator, or half precision, which nothing but a run shows.
 *
 * @throws MnerError `bad_bundle`, `provider_unavailable`, `inference_unavailable`
 */
async function openTested(
  models: Models,
  { config, clock, emit }: TestGround,
  threads: number,
): Promise<InferenceHost> {
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
