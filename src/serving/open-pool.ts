import { createHostPool } from '../inference/host-pool.js';
import type { InferenceHost } from '../inference/port.js';
import type { Tuning } from '../inference/speed-file.js';
import type { Models } from '../models.js';
import { openTested, type TestGround } from './tested-host.js';

/** Inference processes that work side by side, and the threads of each. */
export type Division = Pick<Tuning, 'processes' | 'threads'>;

/** So many threads, shared out evenly, rounded down; at least one to each process. */
export function divide(threads: number, processes: number): Division {
  return { processes, threads: Math.max(1, Math.floor(threads / processes)) };
}

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
