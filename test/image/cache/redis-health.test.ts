import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, it } from 'vitest';
import { manualClock } from '#mner/clock.js';
import { redisCache } from '#mner/image/cache/redis.js';
import { redisHealth, type Work } from '#mner/image/cache/redis-health.js';
import type { Cache } from '#mner/image/port.js';
import type { LocalRedis } from '#mner/local/redis.js';
import { seen } from '../../support/seen.js';
import { LEAST_RIGHTS, listener, servers } from '../redis-servers.js';

const here = process.env.MNER_TEST_REDIS_URL !== undefined;
const VALUE = Buffer.alloc(10_000, 'v');
const key = () => `mner:img:test:${randomUUID()}`;

describe.skipIf(!here)('a Redis that refuses (skipped without MNER_TEST_REDIS_URL)', () => {
  const all = servers();
  const opened: Cache[] = [];
  const admins: Redis[] = [];
  afterEach(async () => {
    for (const cache of opened.splice(0)) await cache.stop();
    for (const admin of admins.splice(0)) admin.disconnect();
    await all.stop();
  });

  const open = async (server: LocalRedis, url = server.url) => {
    const heard = listener();
    const cache = redisCache({ url, commandTimeoutMs: 5_000, emit: heard.emit });
    opened.push(cache);
    const admin = new Redis(server.url, { lazyConnect: true });
    admins.push(admin);
    await Promise.all([cache.connect(), admin.connect()]);
    return { cache, admin, ...heard };
  };

  it('fault 35: since it is full: reads go on, writes and leases are skipped and counted, and it comes back by itself', async ({
    task,
  }) => {
    const server = await all.redis({ maxmemory: '64mb', 'maxmemory-policy': 'noeviction' });
    const { cache, admin, degraded, errors, states, why } = await open(server);
    const [kept, lost, later] = [key(), key(), key()];
    await cache.set(kept, VALUE, 60);
    const full = degraded(true);
    await admin.config('SET', 'maxmemory', '1mb');
    await cache.set(lost, VALUE, 60);
    await full;
    expect(why()).toEqual({ work: 'write', why: 'OOM' });
    expect(await cache.claim(lost, 'a', 60_000)).toEqual({ lease: 'unknown', value: null });
    expect(await cache.getMany([kept, lost])).toEqual([VALUE, null]);
    expect(await cache.findOrClaim(kept, 'a', 60_000)).toEqual({ lease: 'unasked', value: VALUE });
    expect(await cache.findOrClaim(lost, 'a', 60_000)).toEqual({ lease: 'unknown', value: null });
    // No round trips any more: a thousand writes cost nothing.
    const before = Number(/cmdstat_set:calls=(\d+)/.exec(await admin.info('commandstats'))?.[1]);
    await Promise.all(Array.from({ length: 1_000 }, () => cache.set(key(), VALUE, 60)));
    const after = Number(/cmdstat_set:calls=(\d+)/.exec(await admin.info('commandstats'))?.[1]);
    expect(after - before).toBeLessThan(5);
    const skipped = errors();
    expect(skipped).toBeGreaterThanOrEqual(3);
    expect(states()).toEqual([true]);
    const up = degraded(false);
    await admin.config('SET', 'maxmemory', '64mb');
    await up;
    await cache.set(later, VALUE, 60);
    expect(await cache.claim(later, 'a', 60_000)).toEqual({ lease: 'ours', value: VALUE });
    expect(states()).toEqual([true, false]);
    seen(task, `maxmemory: of 1000 writes ${after - before} reached Redis, ${skipped} round trips spared and counted`);
  });

  it('fault 35: since it became a replica: reads go on, writes are skipped, and it comes back by itself', async ({
    task,
  }) => {
    const [server, other] = await Promise.all([all.redis(), all.redis()]);
    const { cache, admin, degraded, states, why } = await open(server);
    const kept = key();
    await cache.set(kept, VALUE, 60);
    // Of a master that is not there any more, so that it keeps what it has.
    await other.stop();
    await admin.replicaof('127.0.0.1', other.port);
    const down = degraded(true);
    await cache.set(key(), VALUE, 60);
    await down;
    expect(why()).toEqual({ work: 'write', why: 'READONLY' });
    expect(await cache.getMany([kept])).toEqual([VALUE]);
    // Its leases were not refused yet: the first to be asks and is answered with what there is.
    expect(await cache.findOrClaim(kept, 'a', 60_000)).toEqual({ lease: 'unasked', value: VALUE });
    expect(await cache.findOrClaim(key(), 'a', 60_000)).toEqual({ lease: 'unknown', value: null });
    expect(await cache.findOrClaim(kept, 'a', 60_000)).toEqual({ lease: 'unasked', value: VALUE });
    const up = degraded(false);
    await admin.replicaof('NO', 'ONE');
    await up;
    const later = key();
    await cache.set(later, VALUE, 60);
    expect(await cache.getMany([later])).toEqual([VALUE]);
    expect(states().at(-1)).toBe(false);
    seen(task, 'READONLY: reads go on, writes are skipped');
  });

  it('since it takes no scripts: only leases are missing, and that is said', async () => {
    const server = await all.redis();
    const { admin } = await open(server);
    await admin.call('ACL', 'SETUSER', 'plain', 'on', '>secret', ...LEAST_RIGHTS, '-eval');
    const { cache, why, states } = await open(server, `redis://plain:secret@127.0.0.1:${server.port}`);
    const one = key();
    await cache.set(one, VALUE, 60);
    // Refused now, and left alone the second time: what can be read is found both times.
    for (const again of [false, true]) {
      expect(await cache.findOrClaim(one, 'a', 60_000), String(again)).toEqual({ lease: 'unasked', value: VALUE });
    }
    expect(why()).toEqual({ work: 'lease', why: 'NOPERM' });
    const two = key();
    expect(await cache.findOrClaim(two, 'a', 60_000)).toEqual({ lease: 'unknown', value: null });
    expect(await cache.claim(two, 'a', 60_000)).toEqual({ lease: 'unknown', value: null });
    await cache.set(two, VALUE, 60);
    expect(await cache.getMany([two])).toEqual([VALUE]);
    expect(states()).toEqual([true]);
  });

  it('fault 35: since it loads its data: misses at once, and comes back by itself', async ({ task }) => {
    const server = await all.redis({
      'enable-debug-command': 'local',
      'loading-process-events-interval-bytes': '1024',
    });
    const { cache, admin, degraded, states } = await open(server);
    const one = key();
    await cache.set(one, VALUE, 60);
    const pipeline = admin.pipeline();
    for (let at = 0; at < 1_000; at += 1) pipeline.set(key(), 'x'.repeat(1_000));
    await pipeline.exec();
    await admin.save();
    await admin.config('SET', 'key-load-delay', 5_000);
    const down = degraded(true);
    // Five seconds for a thousand keys, in which every command is answered with LOADING.
    const reload = admin.call('DEBUG', 'RELOAD', 'NOSAVE').then(
      () => null,
      (error: unknown) => error,
    );
    const reads: Promise<unknown>[] = [];
    const ask = setInterval(() => reads.push(cache.getMany([one])), 20);
    const failed = await Promise.race([down, reload]);
    clearInterval(ask);
    expect(failed).toBeUndefined();
    const up = degraded(false);
    await reload;
    await Promise.all([up, ...reads]);
    expect(await cache.getMany([one])).toEqual([VALUE]);
    expect(states().at(-1)).toBe(false);
    seen(task, `LOADING: ${reads.length} reads were misses at once`);
  });

  it('since it wants a password now: says so, and comes back when that is gone', async () => {
    const server = await all.redis();
    const { cache, admin, degraded, why } = await open(server);
    const one = key();
    await cache.set(one, VALUE, 60);
    await admin.config('SET', 'requirepass', 'secret');
    const down = degraded(true);
    const second = new Redis(`redis://:secret@127.0.0.1:${server.port}`);
    admins.push(second);
    await second.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    await down;
    expect(await cache.getMany([one])).toEqual([null]);
    expect(why()).toMatchObject({ work: 'read' });
    const up = degraded(false);
    await second.config('SET', 'requirepass', '');
    await up;
    expect(await cache.getMany([one])).toEqual([VALUE]);
  });

  it('is not disturbed by values of other kinds that another program has put there', async () => {
    const server = await all.redis();
    const { cache, admin, states } = await open(server);
    const [list, lease] = [key(), key()];
    await admin.rpush(list, 'foreign');
    await admin.rpush(`mner:img:lease:{${lease}}`, 'foreign');
    expect(await cache.getMany([list])).toEqual([null]);
    expect(await cache.claim(list, 'a', 60_000)).toEqual({ lease: 'ours', value: null });
    expect(await cache.claim(lease, 'a', 60_000)).toEqual({ lease: 'ours', value: null });
    expect(await cache.findOrClaim(list, 'b', 60_000)).toEqual({ lease: 'theirs', value: null });
    await cache.set(list, VALUE, 60);
    expect(await cache.getMany([list])).toEqual([VALUE]);
    expect(states()).toEqual([]);
  });
});

describe('the health of a cache', () => {
  const OOM = Object.assign(new Error('OOM command not allowed'), { name: 'ReplyError' });

  function open(answers: Partial<Record<Work, boolean>>) {
    const clock = manualClock();
    const heard = listener();
    const probes: Work[] = [];
    const dialled: string[] = [];
    const probe = async (work: Work) => {
      probes.push(work);
      if (!answers[work]) throw OOM;
    };
    const reconnect = (node: string) => void dialled.push(node);
    return { clock, probes, dialled, ...heard, health: redisHealth({ clock, emit: heard.emit, probe, reconnect }) };
  }

  it('is bad as long as one kind of work fails on one node', () => {
    const { health, states } = open({});
    health.failed('read', 'a', 'key', new Error('late'));
    health.failed('write', 'b', 'key', OOM);
    health.succeeded('read', 'a');
    expect(states()).toEqual([true]);
    expect(health.refuses('write', 'b')).toBe(true);
    expect(health.refuses('write', 'a')).toBe(false);
    health.succeeded('write', 'b');
    expect(states()).toEqual([true, false]);
  });

  it('is tried again, ever more seldom, until it is good', async () => {
    const answers: Partial<Record<Work, boolean>> = {};
    const { clock, health, probes, degraded } = open(answers);
    health.failed('write', 'a', 'key', OOM);
    for (const ms of [500, 1_000, 2_000, 4_000, 8_000, 8_000]) {
      const before = probes.length;
      clock.advance(ms - 1);
      expect(probes.length).toBe(before);
      clock.advance(1);
      expect(probes.length).toBe(before + 1);
      await new Promise(setImmediate);
    }
    answers.write = true;
    const good = degraded(false);
    clock.advance(8_000);
    await good;
    expect(health.refuses('write', 'a')).toBe(false);
  });

  it('dials anew where a replica refuses, but not in a circle', async () => {
    const { clock, health, dialled, probes } = open({});
    health.failed('write', 'a', 'key', Object.assign(new Error('READONLY You cannot'), { name: 'ReplyError' }));
    clock.advance(500);
    await new Promise(setImmediate);
    expect(dialled).toEqual(['a']);
    health.renewed('a');
    await new Promise(setImmediate);
    expect(probes).toEqual(['write', 'write']);
    expect(dialled).toEqual(['a']);
  });

  it('says nothing after a stop', () => {
    const { clock, health, probes, states } = open({});
    health.failed('read', 'a', 'key', OOM);
    health.stop();
    clock.advance(60_000);
    health.succeeded('read', 'a');
    expect(probes).toEqual([]);
    expect(states()).toEqual([true]);
  });
});
