import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { manualClock } from '#mner/clock.js';
import { createCodec } from '#mner/image/cache/codec.js';
import { layeredCache } from '#mner/image/cache/layered.js';
import { memoryCache } from '#mner/image/cache/memory.js';
import { redisCache } from '#mner/image/cache/redis.js';
import { cacheConformance } from '../cache-conformance.js';
import { TINY } from '../vision-tiny.js';

const url = process.env.MNER_TEST_REDIS_URL;

cacheConformance('memory before memory', () => {
  const clock = manualClock();
  const cache = layeredCache(memoryCache({ clock }), memoryCache({ clock }));
  return { cache, pass: async (ms) => clock.advance(ms) };
});

if (url === undefined) {
  describe.skip('memory before Redis: no Redis here, set MNER_TEST_REDIS_URL to one', () => {
    it('skipped', () => {});
  });
} else {
  cacheConformance('memory before Redis', () => ({
    cache: layeredCache(memoryCache(), redisCache({ url, commandTimeoutMs: 5_000 })),
    // Redis has a clock of its own that nobody can move.
    pass: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  }));

  it('shares through Redis what another process has set', async () => {
    const [ours, theirs] = [0, 1].map(() =>
      layeredCache(memoryCache(), redisCache({ url, commandTimeoutMs: 5_000 })),
    ) as [ReturnType<typeof layeredCache>, ReturnType<typeof layeredCache>];
    await Promise.all([ours.connect(), theirs.connect()]);
    const key = `mner:img:test:${randomUUID()}`;
    await theirs.set(key, Buffer.from('theirs'), 60);
    expect(await ours.getMany([key])).toEqual([Buffer.from('theirs')]);
    await Promise.all([ours.stop(), theirs.stop()]);
  });
}

/** A layered cache whose layers can be looked at, under one clock. */
function layers() {
  const clock = manualClock();
  const front = memoryCache({ clock });
  const back = memoryCache({ clock });
  return { clock, front, back, cache: layeredCache(front, back) };
}

it('answers from the front without asking behind', async () => {
  const { front, back, cache } = layers();
  await front.set('a', Buffer.from('front'), 60);
  await back.set('a', Buffer.from('back'), 60);
  expect(await cache.getMany(['a'])).toEqual([Buffer.from('front')]);
});

it('puts values of both layers in their places, and keeps in front what it found behind', async () => {
  const { front, back, cache } = layers();
  await front.set('a', Buffer.from('a'), 60);
  await back.set('b', Buffer.from('b'), 600);
  expect(await cache.getMany(['x', 'b', 'a', 'b'])).toEqual([
    null,
    Buffer.from('b'),
    Buffer.from('a'),
    Buffer.from('b'),
  ]);
  expect(await front.getMany(['b', 'x'])).toEqual([Buffer.from('b'), null]);
});

it('believes the front for a minute at most, and never longer than the value lives', async () => {
  const { clock, front, cache } = layers();
  await cache.set('long', Buffer.from('long'), 3600);
  await cache.set('short', Buffer.from('short'), 5);
  clock.advance(5_001);
  expect(await front.getMany(['long', 'short'])).toEqual([Buffer.from('long'), null]);
  clock.advance(55_000);
  expect(await front.getMany(['long'])).toEqual([null]);
  expect(await cache.getMany(['long', 'short'])).toEqual([Buffer.from('long'), null]);
});

it('keeps no negative entry in front longer than behind', async () => {
  const { clock, front, back, cache } = layers();
  const codec = createCodec(TINY);
  const failed = codec.encode({ status: 'timed_out' });
  // Found behind, where it is about to end: the front would not know.
  await back.set('found', failed, 2);
  expect(await cache.getMany(['found'])).toEqual([failed]);
  expect((await cache.claim('found', 'a', 1_000)).value).toEqual(failed);
  expect(await front.getMany(['found'])).toEqual([null]);
  // Set by us: with its own lifetime.
  await cache.set('set', failed, 30);
  expect(await front.getMany(['set'])).toEqual([failed]);
  clock.advance(30_001);
  expect(await cache.getMany(['found', 'set'])).toEqual([null, null]);
});

it('takes its leases behind, where the fleet sees them, and keeps in front what they show', async () => {
  const { front, back, cache } = layers();
  await back.set('a', Buffer.from('value'), 600);
  expect(await cache.claim('a', 'us', 1_000)).toEqual({ lease: 'ours', value: Buffer.from('value') });
  expect(await back.claim('a', 'them', 1_000)).toMatchObject({ lease: 'theirs' });
  expect(await front.getMany(['a'])).toEqual([Buffer.from('value')]);
  await cache.release('a', 'us');
  expect(await back.claim('a', 'them', 1_000)).toMatchObject({ lease: 'ours' });
});

it('finds in front before it asks behind for a value or a lease', async () => {
  const { front, back, cache } = layers();
  await front.set('a', Buffer.from('front'), 60);
  expect(await cache.findOrClaim('a', 'us', 1_000)).toEqual({ lease: 'unasked', value: Buffer.from('front') });
  await back.set('b', Buffer.from('behind'), 600);
  expect(await cache.findOrClaim('b', 'us', 1_000)).toEqual({ lease: 'unasked', value: Buffer.from('behind') });
  expect(await front.getMany(['b'])).toEqual([Buffer.from('behind')]);
  expect(await cache.findOrClaim('c', 'us', 1_000)).toEqual({ lease: 'ours', value: null });
  for (const key of ['a', 'b']) expect(await back.claim(key, 'them', 1_000)).toMatchObject({ lease: 'ours' });
  expect(await back.claim('c', 'them', 1_000)).toMatchObject({ lease: 'theirs' });
});
