import { expect, it } from 'vitest';
import { manualClock } from '#mner/clock.js';
import { memoryCache } from '#mner/image/cache/memory.js';
import { cacheConformance } from '../cache-conformance.js';

cacheConformance('memory', () => {
  const clock = manualClock();
  return { cache: memoryCache({ clock }), pass: async (ms) => clock.advance(ms) };
});

it('is bounded by bytes, and lets the least recently used go', async () => {
  const cache = memoryCache({ maxBytes: 5_000 });
  for (const key of ['a', 'b', 'c', 'd']) await cache.set(key, Buffer.alloc(1_000), 60);
  await cache.getMany(['a']);
  await cache.set('e', Buffer.alloc(1_000), 60);
  const kept = (await cache.getMany(['a', 'b', 'c', 'd', 'e'])).map((value) => value !== null);
  expect(kept).toEqual([true, false, true, true, true]);
  await cache.set('huge', Buffer.alloc(6_000), 60);
  expect(await cache.getMany(['huge'])).toEqual([null]);
});

it('forgets the leases of holders that never came back', async () => {
  const clock = manualClock();
  const cache = memoryCache({ clock });
  for (let time = 0; time < 1_000; time += 1) {
    await cache.claim(`key ${time}`, 'dead', 100);
    clock.advance(100);
  }
  const claims = await Promise.all(Array.from({ length: 999 }, (_, at) => cache.claim(`key ${at}`, 'new', 100)));
  expect(claims.every(({ lease }) => lease === 'ours')).toBe(true);
});
