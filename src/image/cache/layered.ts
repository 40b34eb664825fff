import type { Cache } from '../port.js';
import { isNegative } from './codec.js';

/** How long the front is believed, in seconds. */
const FRONT_SECONDS = 60;

/**
 * A small fast cache in front of a large shared one: what the front holds costs no round trip.
 *
 * No negative entry lives longer in front than behind: the front keeps those that this process has set, for their own
 * lifetime, but none that it found, since nobody knows how much of its short life is left. Features that it found may
 * outlive those behind by a minute, which harms nobody: they would be the same again.
 */
export function layeredCache(front: Cache, back: Cache): Cache {
  const keep = (key: string, found: Buffer | null) => {
    if (found !== null && !isNegative(found)) void front.set(key, found, FRONT_SECONDS);
  };
  return {
    connect: () => back.connect(),
    async getMany(keys) {
      const values = await front.getMany(keys);
      const missing = keys.filter((_, i) => values[i] === null);
      if (missing.length === 0) return values;
      const behind = await back.getMany(missing);
      let next = 0;
      return values.map((value) => {
        if (value !== null) return value;
        const key = missing[next] as string;
        const found = behind[next++] ?? null;
        keep(key, found);
        return found;
      });
    },
    async set(key, value, ttlSeconds) {
      void front.set(key, value, Math.min(ttlSeconds, FRONT_SECONDS));
      await back.set(key, value, ttlSeconds);
    },
    async claim(key, token, ms) {
      const claim = await back.claim(key, token, ms);
      keep(key, claim.value);
      return claim;
    },
    async findOrClaim(key, token, ms) {
      const [known = null] = await front.getMany([key]);
      if (known !== null) return { lease: 'unasked', value: known };
      const found = await back.findOrClaim(key, token, ms);
      keep(key, found.value);
      return found;
    },
    release: (key, token) => back.release(key, token),
    async stop() {
      await Promise.all([front.stop(), back.stop()]);
    },
  };
}
