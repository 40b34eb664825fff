import { randomUUID } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import type { Cache } from '#mner/image/port.js';

/** A cache and a way to let time pass for it. */
export interface CacheUnderTest {
  readonly cache: Cache;
  /** Resolves once `ms` milliseconds have passed for the cache's entries. */
  pass(ms: number): Promise<void>;
}

/** What holds for every cache. */
export function cacheConformance(name: string, open: () => CacheUnderTest): void {
  describe(`${name} is a cache`, () => {
    const opened: Cache[] = [];
    const start = async () => {
      const one = open();
      opened.push(one.cache);
      await one.cache.connect();
      return one;
    };
    /** Keys that no other run has used. */
    const keys = (count: number) => Array.from({ length: count }, () => `mner:img:test:${randomUUID()}`);
    afterEach(async () => {
      for (const cache of opened.splice(0)) await cache.stop();
    });

    it('gives back what it was given, byte by byte', async () => {
      const { cache } = await start();
      const [key = ''] = keys(1);
      const value = Buffer.from([0, 255, 10, 13, 0, 128]);
      await cache.set(key, value, 60);
      expect(await cache.getMany([key])).toEqual([value]);
    });

    it('answers in the order of the keys, null for a miss, twice for the same', async () => {
      const { cache } = await start();
      const [a = '', b = '', c = ''] = keys(3);
      await Promise.all([cache.set(a, Buffer.from('a'), 60), cache.set(c, Buffer.from('c'), 60)]);
      expect(await cache.getMany([c, b, a, c])).toEqual([Buffer.from('c'), null, Buffer.from('a'), Buffer.from('c')]);
      expect(await cache.getMany([])).toEqual([]);
    });

    it('keeps the last value', async () => {
      const { cache } = await start();
      const [key = ''] = keys(1);
      await Promise.all([cache.set(key, Buffer.from('old'), 60), cache.set(key, Buffer.from('new'), 60)]);
      expect(await cache.getMany([key])).toEqual([Buffer.from('new')]);
    });

    it('takes an empty value', async () => {
      const { cache } = await start();
      const [key = ''] = keys(1);
      await cache.set(key, Buffer.alloc(0), 60);
      expect(await cache.getMany([key])).toEqual([Buffer.alloc(0)]);
    });

    it('takes hundreds at once, of 16 KB', async () => {
      const { cache } = await start();
      const all = keys(200);
      const value = (at: number) => Buffer.alloc(16_384, at);
      for (let at = 0; at < all.length; at += 20) {
        await Promise.all(all.slice(at, at + 20).map((key, index) => cache.set(key, value(at + index), 60)));
      }
      const values = await cache.getMany(all);
      expect(values.map((found, at) => found?.equals(value(at)))).toEqual(all.map(() => true));
    });

    it('hands out values of their own', async () => {
      const { cache } = await start();
      const [key = ''] = keys(1);
      const value = Buffer.from('value');
      await cache.set(key, value, 60);
      value.fill(0);
      const [first] = await cache.getMany([key]);
      expect(first).toEqual(Buffer.from('value'));
      first?.fill(0);
      expect(await cache.getMany([key])).toEqual([Buffer.from('value')]);
      // No slice of something larger, which would be held as a whole.
      expect(first?.buffer.byteLength).toBe(first?.length);
    });

    it('forgets when the lifetime is over', async () => {
      const { cache, pass } = await start();
      const [key = '', long = ''] = keys(2);
      await Promise.all([cache.set(key, Buffer.from('a'), 1), cache.set(long, Buffer.from('b'), 60)]);
      await pass(1001);
      expect(await cache.getMany([key, long])).toEqual([null, Buffer.from('b')]);
    });

    it('gives a lease to one, until it is given back by its token', async () => {
      const { cache } = await start();
      const [key = ''] = keys(1);
      const claims = await Promise.all(['a', 'b', 'c'].map((token) => cache.claim(key, token, 60_000)));
      expect(claims.map(({ lease }) => lease)).toEqual(['ours', 'theirs', 'theirs']);
      await cache.release(key, 'b');
      expect(await cache.claim(key, 'b', 60_000)).toEqual({ lease: 'theirs', value: null });
      await cache.release(key, 'a');
      await cache.release(key, 'a');
      expect(await cache.claim(key, 'b', 60_000)).toEqual({ lease: 'ours', value: null });
    });

    it('lets a lease end whose holder says nothing, and gives it to one successor', async () => {
      const { cache, pass } = await start();
      const [key = ''] = keys(1);
      await cache.claim(key, 'dead', 300);
      await pass(301);
      const claims = await Promise.all(['a', 'b'].map((token) => cache.claim(key, token, 60_000)));
      expect(claims.map(({ lease }) => lease)).toEqual(['ours', 'theirs']);
      // The dead comes back: what it does now touches nothing.
      await cache.release(key, 'dead');
      expect(await cache.claim(key, 'b', 60_000)).toMatchObject({ lease: 'theirs' });
    });

    it('prolongs the lease of who has it', async () => {
      const { cache, pass } = await start();
      const [key = ''] = keys(1);
      await cache.claim(key, 'a', 300);
      expect(await cache.claim(key, 'a', 60_000)).toEqual({ lease: 'ours', value: null });
      await pass(301);
      expect(await cache.claim(key, 'b', 60_000)).toMatchObject({ lease: 'theirs' });
    });

    it('shows the value together with the lease', async () => {
      const { cache } = await start();
      const [key = ''] = keys(1);
      await cache.claim(key, 'a', 60_000);
      await cache.set(key, Buffer.from('value'), 60);
      expect(await cache.claim(key, 'b', 60_000)).toEqual({ lease: 'theirs', value: Buffer.from('value') });
      await cache.release(key, 'a');
      expect(await cache.claim(key, 'b', 60_000)).toEqual({ lease: 'ours', value: Buffer.from('value') });
      // A lease is no value, and a value no lease.
      const [other = ''] = keys(1);
      await cache.claim(other, 'a', 60_000);
      expect(await cache.getMany([other])).toEqual([null]);
    });

    it('finds the value, and where there is none takes the lease in the same step', async () => {
      const { cache } = await start();
      const [key = ''] = keys(1);
      const asked = await Promise.all(['a', 'b'].map((token) => cache.findOrClaim(key, token, 60_000)));
      expect(asked).toEqual([
        { lease: 'ours', value: null },
        { lease: 'theirs', value: null },
      ]);
      expect(await cache.findOrClaim(key, 'a', 60_000)).toEqual({ lease: 'ours', value: null });
      // In one turn, as a worker does: whoever finds the lease given back finds the value.
      await Promise.all([cache.set(key, Buffer.from('value'), 60), cache.release(key, 'a')]);
      expect(await cache.findOrClaim(key, 'b', 60_000)).toEqual({ lease: 'unasked', value: Buffer.from('value') });
      expect(await cache.claim(key, 'c', 60_000)).toEqual({ lease: 'ours', value: Buffer.from('value') });
    });

    it('stops twice, and before it was connected', async () => {
      const { cache } = await start();
      await cache.stop();
      await cache.stop();
      const other = open().cache;
      await other.stop();
      expect(await other.getMany(keys(1))).toEqual([null]);
    });
  });
}
