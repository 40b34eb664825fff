import { randomUUID } from 'node:crypto';
import { MnerError } from '../../../errors.js';
import { servePictures } from '../../../local/picture-server.js';
import { say } from '../../print.js';
import { type BurstSide, startBurstSide } from '../burst.js';
import type { Measured } from '../figure.js';
import type { Lab, LabTweet } from '../lab.js';
import { readMetric } from '../metrics.js';
import { PATIENCE } from '../pictures.js';

const TWEETS = 1000;
const WORKERS = 2;
const USED = 'mner_images_total{status="used"}';
/** Without an answer from Redis there is no lease, and each worker fetches: it tells why a figure is short. */
const CACHE_ERRORS = 'mner_image_cache_requests_total{result="error"}';

/** `single_flight_fetches`: tweets with one cold picture through two workers of a group, and how often its origin was asked. */
export async function singleFlight(lab: Lab): Promise<Measured> {
  const { ner, vision } = lab.models;
  if (!vision) throw new MnerError('bad_input', `The bundle ${ner.manifest.name} reads no pictures.`);
  const overrides = { ...texts(PATIENCE), redis_url: await lab.redis(), cache_ttl_seconds: '60' };
  const picture = (lab.set[0] as LabTweet).picture;
  const bodies = new Map<string, Buffer>();
  const served = await servePictures(bodies);
  // Filled anew before each burst.
  const values: Buffer[] = Array.from({ length: TWEETS }, () => Buffer.alloc(0));
  const samples: number[] = [];
  try {
    const workers = await startBurstSide(lab, {
      name: 'two workers',
      workers: WORKERS,
      values,
      overrides: { ...overrides, image_allow: served.origin },
    });
    try {
      for (let window = 0; window < lab.windows; window++) {
        const path = `/${randomUUID()}.jpg`;
        bodies.set(path, picture);
        fill(values, lab.set, `http://${served.origin}${path}`);
        const { shares, cacheErrors } = await burst(workers);
        const fetches = served.requests.get(path) ?? 0;
        const told = `${fetches} fetches, ${cacheErrors} cache errors; tweets of each worker: ${shares.join(', ')}`;
        say(`  burst ${window + 1} of ${lab.windows}: ${told}`);
        if (fetches === 0) throw new MnerError('internal', 'The origin of the picture was never asked.');
        samples.push(fetches);
      }
      // Not the median: one burst with two fetches is one too many.
      return { value: Math.max(...samples), samples };
    } finally {
      await workers.stop();
    }
  } finally {
    await served.stop();
  }
}

/**
 * Gives the tweets that each worker read with the picture, and the requests that Redis left without an answer.
 *
 * @throws MnerError `internal` when a worker had no tweet, or a tweet went on without its picture: fewer fetches would then be
 * no merit
 */
async function burst({ programs, run }: BurstSide): Promise<{ shares: number[]; cacheErrors: number }> {
  const count = (series: string) =>
    Promise.all(programs.map(async (program) => (await readMetric(program, series)) ?? 0));
  const [used, errors] = await Promise.all([count(USED), count(CACHE_ERRORS)]);
  await run(1);
  const shares = (await count(USED)).map((after, i) => after - (used[i] as number));
  const all = sum(shares);
  if (all < TWEETS) throw new MnerError('internal', `${TWEETS - all} tweets were read without their picture.`);
  if (shares.includes(0)) throw new MnerError('internal', 'One of the workers had no share in the tweets.');
  return { shares, cacheErrors: sum(await count(CACHE_ERRORS)) - sum(errors) };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function fill(values: Buffer[], set: readonly LabTweet[], url: string): void {
  for (let i = 0; i < TWEETS; i++) {
    const { text } = set[i % set.length] as LabTweet;
    values[i] = Buffer.from(JSON.stringify({ id: `${i}`, text, media: [{ type: 'photo', url }] }));
  }
}

function texts(config: Readonly<Record<string, number>>): Record<string, string> {
  return Object.fromEntries(Object.entries(config).map(([key, value]) => [key, String(value)]));
}
