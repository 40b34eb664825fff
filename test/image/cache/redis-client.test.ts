import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { manualClock } from '#mner/clock.js';
import { redisCache } from '#mner/image/cache/redis.js';
import { slotOf } from '#mner/image/cache/slot.js';
import type { LocalRedis } from '#mner/local/redis.js';
import { cacheConformance } from '../cache-conformance.js';
import { redisCaches, servers } from '../redis-servers.js';

const here = process.env.MNER_TEST_REDIS_URL !== undefined;
const wait = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const key = () => `mner:img:test:${randomUUID()}`;

describe.skipIf(!here)('Redis in other shapes (skipped without MNER_TEST_REDIS_URL)', () => {
  const all = servers();
  const { open, stop } = redisCaches();
  afterEach(stop);
  afterAll(() => all.stop());

  describe('a Cluster', () => {
    let cluster: { url: string; nodes: readonly LocalRedis[] };
    beforeAll(async () => {
      cluster = await all.cluster();
    });

    cacheConformance('redis cluster', () => ({
      cache: redisCache({ url: cluster.url, mode: 'cluster', commandTimeoutMs: 5_000, readyTimeoutMs: 20_000 }),
      // Redis has a clock of its own that nobody can move.
      pass: wait,
    }));

    it('is asked with one pipeline for each node', async () => {
      const { cache, states } = open({ url: cluster.url, mode: 'cluster' });
      await cache.connect();
      const keys = Array.from({ length: 60 }, key);
      await Promise.all(keys.map((one) => cache.set(one, Buffer.from(one), 60)));
      const admins = cluster.nodes.map(({ url }) => new Redis(url));
      try {
        const sizes = await Promise.all(admins.map((admin) => admin.dbsize()));
        expect(sizes.every((size) => size > 0)).toBe(true);
        expect(await admins[0]?.cluster('KEYSLOT', keys[0] ?? '')).toBe(slotOf(keys[0] ?? ''));
        const reads = async () => {
          const infos = await Promise.all(admins.map((admin) => admin.info('stats')));
          return infos.map((info) => Number(/total_reads_processed:(\d+)/.exec(info)?.[1]));
        };
        const before = await reads();
        expect(await cache.getMany(keys)).toEqual(keys.map((one) => Buffer.from(one)));
        // One read of the socket for the pipeline, one for our own question; the refresh of the slots may add a few.
        for (const [at, count] of (await reads()).entries()) expect(count - (before[at] ?? 0)).toBeLessThan(10);
      } finally {
        for (const admin of admins) admin.disconnect();
      }
      expect(states()).toEqual([]);
    });

    it('one of whose nodes hangs or dies loses its keys alone, and gets them back', async () => {
      const { cache, degraded } = open({ url: cluster.url, mode: 'cluster', commandTimeoutMs: 2_000 });
      await cache.connect();
      const keys = Array.from({ length: 30 }, key);
      await Promise.all(keys.map((one) => cache.set(one, Buffer.from(one), 60)));
      const found = async () => (await cache.getMany(keys)).filter((value) => value !== null).length;
      expect(await found()).toBe(30);
      const down = degraded(true);
      cluster.nodes[2]?.signal('SIGSTOP');
      // Three deadlines, and then the connection is given up: what follows does not wait for it.
      for (let time = 0; time < 5; time += 1) {
        const left = await found();
        expect(left).toBeGreaterThan(0);
        expect(left).toBeLessThan(30);
      }
      await down;
      const up = degraded(false);
      cluster.nodes[2]?.signal('SIGCONT');
      await up;
      expect(await found()).toBe(30);
    });

    it('a node that is dead is missed also while nobody asks for its keys: the others do not answer for it', async () => {
      const clock = manualClock();
      const { cache, degraded, states } = open({ url: cluster.url, mode: 'cluster', clock });
      await cache.connect();
      const keys = Array.from({ length: 30 }, key);
      await Promise.all(keys.map((one) => cache.set(one, Buffer.from(one), 60)));
      const found = async () => (await cache.getMany(keys)).filter((value) => value !== null).length;
      // The third holds the last slots, the first those of the key that a probe would send for no key in particular.
      const firstKey = keys.find((one) => slotOf(one) < 5_000) ?? '';
      expect(await found()).toBe(30);
      const dead = degraded(true);
      cluster.nodes[2]?.signal('SIGKILL');
      await dead;
      // When it is probed.
      for (const ms of [500, 1_000, 2_000]) {
        clock.advance(ms);
        // Behind the probe, on the same connection.
        expect(await cache.getMany([firstKey])).toEqual([Buffer.from(firstKey)]);
        for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
      }
      expect(states()).toEqual([true]);
      const left = await found();
      expect(left).toBeGreaterThan(0);
      expect(left).toBeLessThan(30);
    });
  });

  it('Sentinels lead to the master, and after its death to the next', async () => {
    const master = await all.redis();
    await all.redis({ replicaof: `127.0.0.1 ${master.port}` });
    const url = await all.sentinel(master);
    const { cache, degraded } = open({ url, mode: 'sentinel', sentinelName: 'pictures' });
    await cache.connect();
    const one = key();
    await cache.set(one, Buffer.from('kept'), 60);
    const admin = new Redis(master.url);
    await admin.set('written', 'since then');
    expect(await admin.wait(1, 10_000)).toBe(1);
    admin.disconnect();
    const down = degraded(true);
    const up = down.then(() => degraded(false));
    master.signal('SIGKILL');
    await up;
    expect(await cache.getMany([one])).toEqual([Buffer.from('kept')]);
    const later = key();
    await cache.set(later, Buffer.from('new'), 60);
    expect(await cache.getMany([later])).toEqual([Buffer.from('new')]);
  }, 90_000);
});
