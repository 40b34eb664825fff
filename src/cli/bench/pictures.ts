import { MnerError } from '../../errors.js';
import type { Features, Look } from '../../image/port.js';
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
    const features = await fill(config, addresses);
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

/** Looks until every picture is a hit: on a busy machine Redis may miss the deadline of a write or two. */
async function fill(config: Lab['config'], addresses: readonly string[]): Promise<(Features | null)[]> {
  for (let round = 1; ; round += 1) {
    const looks = await lookAll(config, addresses);
    const missing = looks.filter(({ cache }) => cache !== 'hit');
    if (missing.length === 0) return looks.map((look) => (look.status === 'used' ? look.features : null));
    if (round === ROUNDS) throw new MnerError('internal', `${missing.length} pictures are not in the cache.`);
  }
}

const ROUNDS = 5;
const AT_ONCE = 200;

async function lookAll(config: Lab['config'], addresses: readonly string[]): Promise<Look[]> {
  const telemetry = createTelemetry({ log: { level: 'warn' }, nodeMetrics: false });
  // Fresh stations for each round: what they remember in their own process does not count as the fleet's cache.
  const stations = await openStations(config, telemetry);
  try {
    const looks: Look[] = [];
    // Not all at once: a process that is busy with the first thousand answers misses Redis's deadline for the second.
    for (let at = 0; at < addresses.length; at += AT_ONCE) {
      const some = addresses.slice(at, at + AT_ONCE);
      looks.push(
        ...(await Promise.all(some.map((url) => stations.images.look({ url }, new AbortController().signal)))),
      );
    }
    return looks;
  } finally {
    await stations.stop();
    telemetry.stop();
  }
}
