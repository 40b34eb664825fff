import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type ManualClock, manualClock, systemClock } from '#mner/clock.js';
import { redisCache } from '#mner/image/cache/redis.js';
import type { Cache } from '#mner/image/port.js';
import type { Event } from '#mner/telemetry/events.js';
import { seen } from '../../support/seen.js';
import { type TcpProxy, tcpProxy } from '../../support/tcp-proxy.js';
import { cacheConformance } from '../cache-conformance.js';

const url = process.env.MNER_TEST_REDIS_URL;
if (url === undefined) {
  describe.skip('redis is a cache: no Redis here, set MNER_TEST_REDIS_URL to one', () => {
    it('skipped', () => {});
  });
} else {
  cacheConformance('redis', () => ({
    // A busy machine must not make misses here; the deadline has tests of its own.
    cache: redisCache({ url, commandTimeoutMs: 5_000 }),
    // Redis has a clock of its own that nobody can move.
    pass: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  }));

  describe('a Redis that fails', () => {
    const place = new URL(url);
    const admin = new Redis(url, { lazyConnect: true });
    const opened: Cache[] = [];
    let proxy: TcpProxy;
    beforeAll(() => admin.connect());
    afterAll(() => admin.disconnect());
    afterEach(async () => {
      for (const cache of opened.splice(0)) await cache.stop();
      await proxy?.stop();
    });

    /** A cache behind a proxy; `degraded` resolves at the next event that says so. */
    const start = async (options: { clock?: ManualClock; commandTimeoutMs?: number; user?: string } = {}) => {
      proxy = await tcpProxy({ host: place.hostname, port: Number(place.port || 6379) });
      const through = new URL(url);
      through.host = `127.0.0.1:${proxy.port}`;
      if (options.user !== undefined) {
        through.username = options.user;
        through.password = 'secret';
      }
      const events: Event[] = [];
      const hopes: { wanted: (event: Event) => boolean; met: () => void }[] = [];
      const cache = redisCache({
        url: through.href,
        clock: options.clock ?? systemClock,
        commandTimeoutMs: options.commandTimeoutMs ?? 50,
        emit: (event) => {
          events.push(event);
          for (const hope of hopes) if (hope.wanted(event)) hope.met();
        },
      });
      opened.push(cache);
      const degraded = (on: boolean) =>
        new Promise<void>((met) =>
          hopes.push({ wanted: (event) => event.type === 'degraded' && event.on === on, met }),
        );
      const errors = () => events.filter((event) => event.type === 'image_cache' && event.result === 'error').length;
      const states = () => events.flatMap((event) => (event.type === 'degraded' ? [event.on] : []));
      return { cache, degraded, errors, states };
    };
    const key = () => `mner:img:test:${randomUUID()}`;

    it('fault 33: when it is down: misses at once, says so, and comes back by itself', async ({ task }) => {
      const { cache, degraded, errors, states } = await start({ commandTimeoutMs: 5_000 });
      await cache.connect();
      const [one, two] = [key(), key()];
      await cache.set(one, Buffer.from('kept'), 60);
      const down = degraded(true);
      await proxy.become('down');
      await down;
      expect(await cache.getMany([one])).toEqual([null]);
      await cache.set(two, Buffer.from('lost'), 60);
      expect(errors()).toBe(2);
      const up = degraded(false);
      await proxy.become('pass');
      await up;
      expect(await cache.getMany([one, two])).toEqual([Buffer.from('kept'), null]);
      expect(states()).toEqual([true, false]);
      seen(task, 'connection lost: misses at once, and back by itself');
    });

    it('fault 34: when it hangs: misses at the deadline, drops the connection, fails at once, and comes back by itself', async ({
      task,
    }) => {
      const clock = manualClock();
      const { cache, degraded, errors } = await start({ clock });
      await cache.connect();
      const one = key();
      await cache.set(one, Buffer.from('kept'), 60);
      await proxy.become('hang');
      for (let time = 0; time < 3; time += 1) {
        const values = cache.getMany([one]);
        clock.advance(49);
        clock.advance(1);
        expect(await values).toEqual([null]);
      }
      expect(errors()).toBe(3);
      // The connection is given up: what follows does not wait for any clock.
      expect(await cache.getMany([one])).toEqual([null]);
      await cache.set(one, Buffer.from('lost'), 60);
      // Nor does any of many: the clock stands, so what was queued for a better time would never end.
      const many = Array.from({ length: 1000 }, () => key());
      expect(await Promise.all(many.map((each) => cache.getMany([each])))).toEqual(many.map(() => [null]));
      await Promise.all(many.map((each) => cache.set(each, Buffer.from('lost'), 60)));
      // The next connection is accepted, but the server says nothing: it is given up as well.
      await proxy.connected(2);
      const up = degraded(false);
      await proxy.become('pass');
      const retry = setInterval(() => clock.advance(2_000), 20);
      await up.finally(() => clearInterval(retry));
      const values = cache.getMany([one]);
      expect(await values).toEqual([Buffer.from('kept')]);
      seen(
        task,
        'three answers missing for 50 ms each, then 1000 misses and 1000 writes skipped without waiting, none queued',
      );
    });

    it('when it may be read but not written: reads go on, writes are counted, and it is said', async () => {
      const user = `reader-${randomUUID()}`;
      await admin.call('ACL', 'SETUSER', user, 'on', '>secret', '~*', '+@read', '+@connection', '+info');
      try {
        const { cache, degraded, errors, states } = await start({ user, commandTimeoutMs: 5_000 });
        await cache.connect();
        const one = key();
        await admin.set(one, 'kept', 'EX', 60);
        const down = degraded(true);
        await cache.set(one, Buffer.from('lost'), 60);
        await down;
        expect(await cache.getMany([one])).toEqual([Buffer.from('kept')]);
        expect(errors()).toBe(1);
        // Refused once, it is left alone: the second write costs no round trip. A probe finds that it works again.
        await cache.set(one, Buffer.from('lost'), 60);
        expect(errors()).toBe(2);
        const up = degraded(false);
        await admin.call('ACL', 'SETUSER', user, '+set');
        await up;
        await cache.set(one, Buffer.from('new'), 60);
        expect(await cache.getMany([one])).toEqual([Buffer.from('new')]);
        expect(states()).toEqual([true, false]);
      } finally {
        await admin.call('ACL', 'DELUSER', user);
      }
    });

    it('writes the lifetime that it is given', async () => {
      const { cache } = await start({ commandTimeoutMs: 5_000 });
      await cache.connect();
      const one = key();
      await cache.set(one, Buffer.from('a'), 1_000);
      const left = await admin.pttl(one);
      expect(left).toBeGreaterThan(990_000);
      expect(left).toBeLessThanOrEqual(1_000_000);
    });

    it('when it is not there at the start: one sentence without the password', async () => {
      const { cache } = await start({ user: 'someone' });
      await proxy.become('down');
      const error: unknown = await cache.connect().catch((caught: unknown) => caught);
      expect(error).toMatchObject({
        code: 'cache_unreachable',
        message: expect.stringContaining(`127.0.0.1:${proxy.port}`),
      });
      expect(error).toMatchObject({ message: expect.stringContaining('ECONNREFUSED') });
      expect(String(error)).not.toContain('secret');
    });

    it('when it refuses the password: one sentence that says so', async () => {
      const { cache } = await start({ user: 'nobody' });
      await expect(cache.connect()).rejects.toMatchObject({
        code: 'cache_unreachable',
        message: expect.stringContaining('WRONGPASS'),
      });
    });

    it('when it hangs at the start: gives up', async () => {
      const clock = manualClock();
      const { cache } = await start({ clock });
      await proxy.become('hang');
      const connecting = cache.connect();
      await proxy.connected(1);
      clock.advance(2_000);
      await expect(connecting).rejects.toMatchObject({ code: 'cache_unreachable' });
    });
  });
}
