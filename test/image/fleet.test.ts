import { spawn } from 'node:child_process';
import { once, setMaxListeners } from 'node:events';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { manualClock } from '#mner/clock.js';
import { createCodec } from '#mner/image/cache/codec.js';
import { urlKey } from '#mner/image/cache/key.js';
import { layeredCache } from '#mner/image/cache/layered.js';
import { memoryCache } from '#mner/image/cache/memory.js';
import { redisCache } from '#mner/image/cache/redis.js';
import { leaseKey } from '#mner/image/cache/redis-lease.js';
import { addressPolicy } from '#mner/image/fetch/address.js';
import { httpOrigin } from '#mner/image/fetch/http.js';
import { memoryOrigin } from '#mner/image/fetch/memory.js';
import { createImages, type ImagesOptions } from '#mner/image/look.js';
import type { Look } from '#mner/image/port.js';
import { type Emit, type Event, silent } from '#mner/telemetry/events.js';
import { seen } from '../support/seen.js';
import { answer, evilServer } from './evil-server.js';
import { quarters } from './pictures.js';
import { type Servers, servers } from './redis-servers.js';
import { type CountingHost, TINY, tinyVision } from './vision-tiny.js';

const here = process.env.MNER_TEST_REDIS_URL !== undefined;
const { signal } = new AbortController();
setMaxListeners(0, signal);
const statuses = (looks: readonly Look[]) =>
  Object.fromEntries(
    [...new Set(looks.map(({ status }) => status))].map((status) => [
      status,
      looks.filter((look) => look.status === status).length,
    ]),
  );
let host: CountingHost;
let jpeg: Buffer;
beforeAll(async () => {
  host = await tinyVision();
  jpeg = await quarters().jpeg().toBuffer();
});
afterAll(() => host.stop());

describe.skipIf(!here)('two workers at one Redis and one origin (skipped without MNER_TEST_REDIS_URL)', () => {
  const ends: (() => Promise<unknown>)[] = [];
  let all: Servers;
  let redisUrl = '';
  beforeEach(async () => {
    all = servers();
    redisUrl = (await all.redis()).url;
  });
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end();
    await all.stop();
  });

  /** A worker with connections of its own. */
  const worker = async (origin: string, more: ImagesOptions = {}, emit: Emit = silent) => {
    // A busy machine must not decide what becomes of a picture; where a deadline is the subject, a test sets its own.
    const options = { budgetMs: 20_000, ...more };
    const cache = layeredCache(memoryCache(), redisCache({ url: redisUrl, commandTimeoutMs: 5_000 }));
    const http = httpOrigin({ policy: addressPolicy({ allow: [origin] }), deadlineMs: 15_000 });
    const images = createImages({ origin: http, cache, host, bundle: TINY, options, emit });
    await cache.connect();
    ends.push(async () => {
      await images.stop();
      await Promise.all([cache.stop(), http.stop()]);
    });
    return images;
  };

  const pictures = async (page: () => Buffer = () => answer('200 OK', {}, jpeg)) => {
    const server = await evilServer((path, socket) => {
      asked.push(path);
      socket.write(page());
    });
    const asked: string[] = [];
    ends.push(() => server.stop());
    return { host: server.host, url: `http://${server.host}/hot.jpg`, asked };
  };

  it('fault 37: a thousand tweets with one picture, cold and after a flush, are one fetch', async ({ task }) => {
    const { host: place, url, asked } = await pictures();
    const workers = await Promise.all([worker(place), worker(place)]);
    const looks = await Promise.all(Array.from({ length: 1_000 }, (_, at) => workers[at % 2]?.look({ url }, signal)));
    expect(statuses(looks.filter((look) => look !== undefined))).toEqual({ used: 1_000 });
    expect(asked).toEqual(['/hot.jpg']);
    // After a flush the same again: the workers' own memories are asked first, so a third worker joins.
    const admin = new Redis(redisUrl);
    await admin.flushall();
    admin.disconnect();
    const others = await Promise.all([worker(place), worker(place)]);
    await Promise.all(Array.from({ length: 1_000 }, (_, at) => others[at % 2]?.look({ url }, signal)));
    expect(asked).toHaveLength(2);
    seen(task, '1000 tweets at two workers with one cold picture: 1 fetch; after a flush: 1 fetch');
  });

  it.for([
    ['corrupt', (good: Buffer) => Buffer.concat([good.subarray(0, 100), Buffer.from('x'), good.subarray(101)])],
    ['truncated', (good: Buffer) => good.subarray(0, 5_000)],
    ['of an older layout', (good: Buffer) => Buffer.concat([Buffer.from([0]), good.subarray(1)])],
    ['of another vision bundle', () => createCodec({ ...TINY, version: 'vision 0.9' }).encode({ status: 'not_found' })],
    ['written by another program', () => Buffer.from('{"features":[]}')],
    ['empty', () => Buffer.alloc(0)],
  ] as const)('fault 36: a value that is %s is a miss, replaced and counted', async ([what, spoil], { task }) => {
    const { host: place, url, asked } = await pictures();
    const key = urlKey(new URL(url), TINY.version);
    const admin = new Redis(redisUrl);
    ends.push(async () => admin.disconnect());
    const first = await worker(place);
    await first.look({ url }, signal);
    // Then Redis has it.
    await first.stop();
    const good = await admin.getBuffer(key);
    await admin.set(key, spoil(good ?? Buffer.alloc(0)), 'EX', 60);
    const events: Event[] = [];
    const other = await worker(place, {}, (event) => void events.push(event));
    expect(await other.look({ url }, signal)).toMatchObject({ status: 'used', cache: 'miss' });
    expect(events).toContainEqual({ type: 'image_cache', result: 'corrupt' });
    await other.stop();
    expect(await admin.getBuffer(key)).toEqual(good);
    expect(asked).toHaveLength(2);
    expect(await (await worker(place)).look({ url }, signal)).toMatchObject({ status: 'used', cache: 'hit' });
    seen(task, `${what}: a miss, replaced`);
  });

  it('a picture that is not there is asked for once, too', async () => {
    const { host: place, url, asked } = await pictures(() => answer('404 Not Found'));
    const workers = await Promise.all([worker(place), worker(place)]);
    const looks = await Promise.all(
      workers.flatMap((one) => Array.from({ length: 50 }, () => one.look({ url }, signal))),
    );
    expect(statuses(looks)).toEqual({ not_found: 100 });
    expect(asked).toHaveLength(1);
  });

  it('fault 38: a holder that is killed has exactly one successor', async ({ task }) => {
    const { host: place, url, asked } = await pictures();
    const key = urlKey(new URL(url), TINY.version);
    const script = `
      const { redisCache } = await import('#mner/image/cache/redis.js');
      const cache = redisCache({ url: ${JSON.stringify(redisUrl)}, commandTimeoutMs: 5000 });
      await cache.connect();
      console.log((await cache.claim(${JSON.stringify(key)}, 'holder', 1500)).lease);
      setInterval(() => {}, 1000);`;
    const holder = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [said] = (await once(holder.stdout, 'data')) as [Buffer];
    expect(said.toString()).toBe('ours\n');
    const dead = once(holder, 'exit');
    holder.kill('SIGKILL');
    await dead;
    const workers = await Promise.all([worker(place), worker(place)]);
    const looks = await Promise.all(
      workers.flatMap((one) => Array.from({ length: 50 }, () => one.look({ url }, signal))),
    );
    expect(statuses(looks)).toEqual({ used: 100 });
    expect(asked).toHaveLength(1);
    seen(task, 'kill -9 of the holder: 100 waiting tweets at two workers, 1 fetch');
  });

  it('who waits for a holder that is slower than its budget goes on as text, and says so', async () => {
    const { host: place, url, asked } = await pictures();
    const admin = new Redis(redisUrl);
    await admin.set(leaseKey(urlKey(new URL(url), TINY.version)), 'somebody', 'PX', 3_600_000);
    admin.disconnect();
    const images = await worker(place, { budgetMs: 300 });
    // The lease outlasts this test: who waited for its end would not come back.
    const looks = await Promise.all(Array.from({ length: 20 }, () => images.look({ url }, signal)));
    expect(looks.every(({ status, cache }) => status === 'timed_out' && cache === null)).toBe(true);
    expect(asked).toEqual([]);
  });

  it('a worker that stops leaves its picture to the other at once', async () => {
    let open = () => {};
    const first = new Promise<void>((resolve) => {
      open = resolve;
    });
    let count = 0;
    const server = await evilServer((_, socket) => {
      count += 1;
      if (count === 1) open();
      else socket.write(answer('200 OK', {}, jpeg));
    });
    ends.push(() => server.stop());
    const url = `http://${server.host}/slow.jpg`;
    // A lease that would outlast every budget, were it not given back.
    const options = { leaseMs: 60_000 };
    const [one, other] = [await worker(server.host, options), await worker(server.host, options)];
    const given = one.look({ url }, signal);
    await first;
    const waiting = other.look({ url }, signal);
    await one.stop();
    expect(await given).toMatchObject({ status: 'skipped' });
    expect(await waiting).toMatchObject({ status: 'used' });
    expect(count).toBe(2);
  });
});

describe('two workers at one memory, under a clock that is moved', () => {
  const URL_A = 'https://pictures.example/a.jpg';

  it('who holds a picture for long keeps it, and the other has it at once when it is there', async () => {
    const clock = manualClock();
    const cache = memoryCache({ clock });
    const slow = memoryOrigin();
    let asked = 0;
    let arrive = () => {};
    const fetching = new Promise<void>((resolve) => {
      arrive = resolve;
    });
    let deliver = () => {};
    const origin = {
      ...slow,
      fetch: () => {
        asked += 1;
        arrive();
        return new Promise<{ status: 'ok'; bytes: Buffer }>((resolve) => {
          deliver = () => resolve({ status: 'ok', bytes: jpeg });
        });
      },
    };
    const parts = { origin, cache, host, bundle: TINY, clock, options: { budgetMs: 60_000 } };
    const [one, other] = [createImages(parts), createImages(parts)];
    const first = one.look({ url: URL_A }, signal);
    await fetching;
    const second = other.look({ url: URL_A }, signal);
    // Ten seconds, three leases long.
    for (let time = 0; time < 100; time += 1) {
      clock.advance(100);
      await new Promise(setImmediate);
    }
    expect(asked).toBe(1);
    deliver();
    // The extractor and the waiting worker go by the clock.
    const move = setInterval(() => clock.advance(50), 5);
    try {
      expect(await first).toMatchObject({ status: 'used', cache: 'miss' });
      expect(await second).toMatchObject({ status: 'used', cache: 'hit' });
    } finally {
      clearInterval(move);
    }
    expect(asked).toBe(1);
    await Promise.all([one.stop(), other.stop()]);
  });
});
