import { MnerError } from '../../errors.js';
import type { Features } from '../../image/port.js';
import type { Row } from '../../inference/row.js';
import { servePictures } from '../../local/picture-server.js';
import { createTelemetry } from '../../telemetry/telemetry.js';
import { openStations } from '../../worker.js';
import { say } from '../print.js';
import type { Lab } from './lab.js';

/** Long enough for any picture to be looked at on a slow machine, so that none is left out. */
export const PATIENCE = { image_budget_ms: 120_000, image_fetch_timeout_ms: 60_000 };

/** The set with pictures, every one of them in Redis. */
export interface HotPictures {
  readonly rows: readonly Row[];
  readonly values: readonly Buffer[];
  /** Configuration of a worker that finds them there. */
  readonly overrides: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

/**
 * Serves the pictures on loopback and looks at each one through the worker's own stations, which leaves it in Redis.
 *
 * @throws MnerError `internal` when not one of them can be used, or one is not in the cache afterwards
 */
export async function hotPictures(lab: Lab): Promise<HotPictures> {
  const url = await lab.redis();
  const served = await servePictures(new Map(lab.set.map(({ picture }, i) => [`/${i}.jpg`, picture])));
  const addresses = lab.set.map((_, i) => `http://${served.origin}/${i}.jpg`);
  try {
    const config = { ...lab.config, ...PATIENCE, redis_url: url, image_allow: [served.origin] };
    say(`  filling the cache with ${addresses.length} pictures …`);
    await lookAll(config, addresses, null);
    const features = await lookAll(config, addresses, 'hit');
    const used = features.filter((one) => one !== null).length;
    if (used === 0) throw new MnerError('internal', 'Not one of the pictures can be used.');
    say(`  ${used} of ${features.length} pictures are of use, all are in the cache`);
    return {
      rows: lab.set.flatMap(({ rows }, i) => rows.map(({ text }) => ({ text, picture: features[i] ?? null }))),
      values: lab.set.map(({ text }, i) =>
        Buffer.from(JSON.stringify({ id: `${i}`, text, media: [{ type: 'photo', url: addresses[i] }] })),
      ),
      overrides: { redis_url: url, image_allow: served.origin },
      stop: served.stop,
    };
  } catch (error) {
    await served.stop();
    throw error;
  }
}

/** @param expected what the cache must say of each; null for anything */
async function lookAll(
  config: Lab['config'],
  addresses: readonly string[],
  expected: 'hit' | null,
): Promise<(Features | null)[]> {
  const telemetry = createTelemetry({ log: { level: 'warn' }, nodeMetrics: false });
  // Fresh stations for each round: what they remember in their own process does not count as the fleet's cache.
  const stations = await openStations(config, telemetry);
  try {
    const looks = await Promise.all(
      addresses.map((url) => stations.images.look({ url }, new AbortController().signal)),
    );
    const wrong = expected === null ? undefined : looks.find(({ cache }) => cache !== expected);
    if (wrong) throw new MnerError('internal', `A picture is not in the cache (${wrong.status}).`);
    return looks.map((look) => (look.status === 'used' ? look.features : null));
  } finally {
    await stations.stop();
    telemetry.stop();
  }
}
