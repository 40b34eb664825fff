import type { Cache } from '../port.js';

/** How long a value from behind is believed in front, in seconds: a negative entry there may be about to expire. */
const FRONT_SECONDS = 60;

/** A small fast cache in front of a large shared one: what the front holds costs no round trip. */
export function layeredCache(front: Cache, back: Cache): Cache {
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
        if (found !== null) void front.set(key, found, FRONT_SECONDS);
        return found;
      });
    },
    async set(key, value, ttlSeconds) {
      void front.set(key, value, Math.min(ttlSeconds, FRONT_SECONDS));
      await back.set(key, value, ttlSeconds);
    },
    async stop() {
      await Promise.all([front.stop(), back.stop()]);
    },
  };
}
