import { systemClock } from '../../../clock.js';
import { MnerError } from '../../../errors.js';
import { createCodec } from '../../../image/cache/codec.js';
import { redisCache } from '../../../image/cache/redis.js';
import { createPictureStore, LIFETIMES } from '../../../image/cache/store.js';
import { floatToHalf } from '../../../image/half.js';
import type { Features } from '../../../image/port.js';
import type { VisionShape } from '../../../image/vision-shape.js';
import { visionShape } from '../../../models.js';
import { silent } from '../../../telemetry/events.js';
import { say } from '../../print.js';
import { fromSamples, type Measured } from '../figure.js';
import type { Lab } from '../lab.js';

const KEYS = 64;

/** `cache_hit_ms`: lookups of 64 pictures at once in a real Redis, no cache of this process before it, decoded. */
export async function cacheHit(lab: Lab): Promise<Measured> {
  const { vision, ner } = lab.models;
  if (!vision) throw new MnerError('bad_input', `The bundle ${ner.manifest.name} reads no pictures.`);
  const shape = visionShape(vision);
  const codec = createCodec(shape);
  const cache = redisCache({ url: await lab.redis(), commandTimeoutMs: 5_000 });
  const store = createPictureStore({ cache, codec, lifetimes: LIFETIMES, clock: systemClock, emit: silent });
  const keys = Array.from({ length: KEYS }, (_, i) => `mner:bench:${i}`);
  const entry = { status: 'used', features: fullFeatures(shape) } as const;
  try {
    await cache.connect();
    await Promise.all(keys.map((key) => store.remember(key, entry)));
    say(`  ${KEYS} values of ${codec.encode(entry).length} bytes`);
    const lookUp = async () => {
      const found = await Promise.all(keys.map((key) => store.recall(key, 'bench', 1_000)));
      if (found.some(({ entry }) => entry?.status !== 'used')) throw new MnerError('internal', 'Redis lost a value.');
    };
    const samples: number[] = [];
    // One window more than asked for: the first warms up.
    for (let window = 0; window <= lab.windows; window++) {
      const start = systemClock.now();
      let rounds = 0;
      do {
        await lookUp();
        rounds++;
      } while (systemClock.now() - start < Math.min(1, lab.seconds) * 1000);
      samples.push((systemClock.now() - start) / rounds / KEYS);
    }
    return fromSamples(samples.slice(1));
  } finally {
    await cache.stop();
  }
}

/** As large as features get: all tags, all objects. */
function fullFeatures({ cells, cellWidth, embeddingWidth }: VisionShape): Features {
  const vector = (length: number) => Uint16Array.from({ length }, (_, i) => floatToHalf(Math.sin(i)));
  return {
    grid: vector(cells * cellWidth),
    embedding: vector(embeddingWidth),
    tags: Array.from({ length: 10 }, (_, tag) => ({ tag, score: 0.5 })),
    objects: Array.from({ length: 5 }, (_, kind) => ({ class: kind, score: 0.5, box: [0, 0, 1, 1] as const })),
  };
}
