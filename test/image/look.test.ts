import { setMaxListeners } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Clock, manualClock } from '#mner/clock.js';
import { MnerError } from '#mner/errors.js';
import { memoryCache } from '#mner/image/cache/memory.js';
import { addressPolicy } from '#mner/image/fetch/address.js';
import { httpOrigin } from '#mner/image/fetch/http.js';
import { type MemoryOrigin, memoryOrigin } from '#mner/image/fetch/memory.js';
import { createImages, type Images, type ImagesOptions } from '#mner/image/look.js';
import type { Cache, Look, Origin } from '#mner/image/port.js';
import type { InferenceHost } from '#mner/inference/port.js';
import type { Event } from '#mner/telemetry/events.js';
import { answer, evilServer } from './evil-server.js';
import { BLUE, plain, pngHeader, quarters, RED } from './pictures.js';
import { type CountingHost, TINY, tinyVision } from './vision-tiny.js';

const URL_A = 'https://pictures.example/a.jpg';
const { signal } = new AbortController();
setMaxListeners(0, signal);
let host: CountingHost;
let jpeg: Buffer;
const opened: Images[] = [];

beforeAll(async () => {
  host = await tinyVision();
  jpeg = await quarters().jpeg().toBuffer();
});
afterEach(async () => {
  for (const images of opened.splice(0)) await images.stop();
});
afterAll(() => host.stop());

interface Opening {
  readonly origin?: Origin;
  readonly cache?: Cache;
  readonly host?: InferenceHost;
  readonly clock?: Clock;
  readonly options?: ImagesOptions;
  readonly version?: string;
}

function open(parts: Opening = {}) {
  const origin = memoryOrigin();
  const cache = parts.cache ?? memoryCache();
  const events: Event[] = [];
  const images = createImages({
    origin: parts.origin ?? origin,
    cache,
    host: parts.host ?? host,
    bundle: parts.version === undefined ? TINY : { ...TINY, version: parts.version },
    emit: (event) => void events.push(event),
    ...(parts.clock && { clock: parts.clock }),
    // By the machine's own clock nobody is in a hurry.
    options: { ...(!parts.clock && { budgetMs: 60_000 }), ...parts.options },
  });
  opened.push(images);
  return { images, origin, cache, events };
}

const shown = ({ status, cache }: Look) => ({ status, cache });

describe('a look', () => {
  it('at no picture is none', async () => {
    const { images } = open();
    for (const photo of [null, undefined, {}, { altText: 'a dog' }]) {
      expect(await images.look(photo, signal)).toEqual({ status: 'none', cache: null });
    }
  });

  it('fetches once, remembers, and sees the same from the cache', async () => {
    const { images, origin, events } = open();
    origin.put(URL_A, jpeg);
    const first = await images.look({ url: URL_A }, signal);
    const second = await images.look({ url: `${URL_A}#fragment` }, signal);
    expect(first).toMatchObject({ status: 'used', cache: 'miss', size: { width: 64, height: 64 } });
    const { size: _, ...remembered } = first as Extract<Look, { status: 'used' }>;
    expect(second).toEqual({ ...remembered, cache: 'hit' });
    expect(origin.requests).toEqual([URL_A]);
    expect(events.filter((event) => event.type === 'image_fetch')).toEqual([{ type: 'image_fetch', outcome: 'ok' }]);
    const stages = events.flatMap((event) => (event.type === 'stage' ? [event.stage] : []));
    expect(stages).toEqual(['cache_get', 'fetch', 'decode_image', 'image_features', 'cache_get']);
    expect(JSON.stringify(events)).not.toContain('pictures.example');
  });

  it('reads what came inside the tweet, and knows it again by its bytes', async () => {
    const { images, origin } = open();
    const data = jpeg.toString('base64');
    expect(await images.look({ data }, signal)).toMatchObject({ status: 'used', cache: 'miss' });
    expect(await images.look({ data: data.replace(/=+$/, ''), url: URL_A }, signal)).toMatchObject({
      status: 'used',
      cache: 'hit',
    });
    expect(origin.requests).toEqual([]);
  });

  it('reads files only where that is allowed', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'mner-look-'));
    try {
      const url = pathToFileURL(join(folder, 'a.jpg')).href;
      await writeFile(new URL(url), jpeg);
      expect(await open().images.look({ url }, signal)).toMatchObject({ status: 'refused', cache: null });
      const allowed = open({ options: { allowFiles: true } }).images;
      expect(await allowed.look({ url }, signal)).toMatchObject({ status: 'used', cache: 'miss' });
      expect(await allowed.look({ url: `${url}.none` }, signal)).toEqual({
        status: 'not_found',
        cache: null,
        detail: 'there is no such file',
      });
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it.each([
    ['an HTML page', () => Buffer.from('<html>gone</html>'), 'unreadable', /^this is no JPEG/],
    ['a truncated JPEG', () => jpeg.subarray(0, jpeg.length / 2), 'unreadable', /^the picture is damaged$/],
    ['nothing', () => Buffer.alloc(0), 'unreadable', /^this is no JPEG/],
    ['a PNG of 17,000 x 17,000', () => pngHeader(17_000, 17_000), 'too_large', /17000 x 17000 pixels$/],
    ['a body of 11 MB', () => Buffer.alloc(11 * 1024 * 1024), 'too_large', /bytes$/],
  ])('at %s is remembered as what it is, and says why as long as it is new', async (_, page, status, why) => {
    const { images, origin } = open();
    origin.put(URL_A, page());
    expect(await images.look({ url: URL_A }, signal)).toEqual({
      status,
      cache: 'miss',
      detail: expect.stringMatching(why),
    });
    expect(await images.look({ url: URL_A }, signal)).toEqual({ status, cache: 'hit' });
    expect(origin.requests).toHaveLength(1);
  });

  it.each(['not_found', 'unreachable', 'refused', 'timed_out', 'rate_limited'] as const)(
    'at an origin that says %s is remembered',
    async (status) => {
      const { images, origin, events } = open();
      origin.put(URL_A, status);
      expect(await images.look({ url: URL_A }, signal)).toMatchObject({ status, cache: 'miss' });
      expect(await images.look({ url: URL_A }, signal)).toEqual({ status, cache: 'hit' });
      expect(events).toContainEqual({ type: 'image_fetch', outcome: status });
    },
  );

  it.each([
    [{ url: 'nonsense' }, 'refused'],
    [{ url: '' }, 'refused'],
    [{ url: 'ftp://pictures.example/a' }, 'refused'],
    [{ url: 'data:image/png;base64,AAAA' }, 'refused'],
    [{ data: '!' }, 'unreadable'],
    [{ data: '' }, 'unreadable'],
    [{ data: 'A'.repeat(15_000_000) }, 'too_large'],
  ])('at what names no picture asks nobody: %#', async (photo, status) => {
    const { images, events } = open();
    expect(await images.look(photo, signal)).toEqual({ status, cache: null, detail: expect.stringMatching(/\w/) });
    expect(events).toEqual([{ type: 'image', status }]);
  });

  it('is not fooled by the cache of another vision bundle, nor by a foreign value', async () => {
    const { images, origin, cache } = open();
    origin.put(URL_A, jpeg);
    await images.look({ url: URL_A }, signal);
    const other = open({ cache, version: 'vision-tiny 2.0.0' });
    other.origin.put(URL_A, jpeg);
    expect(await other.images.look({ url: URL_A }, signal)).toMatchObject({ status: 'used', cache: 'miss' });
    const value = Buffer.from('OK');
    const foreign = open({
      cache: {
        ...memoryCache(),
        getMany: async (keys) => keys.map(() => value),
        findOrClaim: async () => ({ lease: 'unasked', value }),
      },
    });
    foreign.origin.put(URL_A, jpeg);
    expect(await foreign.images.look({ url: URL_A }, signal)).toMatchObject({ status: 'used', cache: 'miss' });
    expect(foreign.events).toContainEqual({ type: 'image_cache', result: 'corrupt' });
  });
});

describe('many looks', () => {
  it('at one picture are one fetch', async () => {
    const { images, origin } = open();
    origin.put(URL_A, jpeg);
    const looks = await Promise.all(Array.from({ length: 100 }, () => images.look({ url: URL_A }, signal)));
    expect(new Set(looks.map(({ status }) => status))).toEqual(new Set(['used']));
    expect(origin.requests).toHaveLength(1);
  });

  it('at one picture are one fetch, also while the cache still writes', async () => {
    const slow = memoryCache();
    let wrote = () => {};
    const cache: Cache = {
      ...slow,
      async set(...written) {
        await new Promise<void>((resolve) => {
          wrote = resolve;
        });
        await slow.set(...written);
      },
    };
    const { images, origin } = open({ cache });
    origin.put(URL_A, jpeg);
    await images.look({ url: URL_A }, signal);
    expect(await images.look({ url: URL_A }, signal)).toMatchObject({ status: 'used', cache: 'miss' });
    wrote();
    expect(origin.requests).toHaveLength(1);
  });

  it('reach the vision bundle, each once', async () => {
    // A budget that no busy machine spends: it is not what this is about.
    const { images, origin } = open({ options: { decoder: { concurrency: 4 }, budgetMs: 60_000 } });
    const calls = host.batches.length;
    const urls = Array.from({ length: 12 }, (_, at) => `${URL_A}?${at}`);
    for (const url of urls) origin.put(url, jpeg);
    const looks = await Promise.all(urls.map((url) => images.look({ url }, signal)));
    expect(looks.every(({ status }) => status === 'used')).toBe(true);
    expect(host.batches.slice(calls).reduce((sum, size) => sum + size, 0)).toBe(12);
  });

  it('are fetched no more than so many at once', async () => {
    let [now, most] = [0, 0];
    const inner = memoryOrigin();
    const origin: Origin = {
      ...inner,
      async fetch(...asked) {
        now += 1;
        most = Math.max(most, now);
        const result = await inner.fetch(...asked);
        now -= 1;
        return result;
      },
    };
    const { images } = open({ origin, options: { concurrency: 3 } });
    await Promise.all(Array.from({ length: 10 }, (_, at) => images.look({ url: `${URL_A}?${at}` }, signal)));
    expect(most).toBe(3);
  });
});

describe('a tweet’s budget', () => {
  /** An origin that says when it was asked. */
  function announced(inner: MemoryOrigin) {
    let asked = () => {};
    const arrival = new Promise<void>((resolve) => {
      asked = resolve;
    });
    const origin: Origin = {
      ...inner,
      fetch(...request) {
        asked();
        return inner.fetch(...request);
      },
    };
    return { origin, arrival };
  }

  it('ends in timed_out, which is no word about the picture', async () => {
    const clock = manualClock();
    const inner = memoryOrigin();
    inner.put(URL_A, 'silent');
    const { origin, arrival } = announced(inner);
    const { images, cache } = open({ origin, clock, cache: memoryCache({ clock }) });
    const look = images.look({ url: URL_A }, signal);
    await arrival;
    clock.advance(8_000);
    expect(await look).toEqual({ status: 'timed_out', cache: null });
    await images.stop();
    const again = open({ cache });
    again.origin.put(URL_A, jpeg);
    expect(await again.images.look({ url: URL_A }, signal)).toMatchObject({ status: 'used', cache: 'miss' });
  });

  it('covers a file that is slow to be read, as it does an origin', async () => {
    const clock = manualClock();
    const { images } = open({ clock, cache: memoryCache({ clock }), options: { allowFiles: true } });
    const look = images.look({ url: import.meta.url }, signal);
    // In the same turn, before any disk has answered.
    clock.advance(8_000);
    expect(await look).toEqual({ status: 'timed_out', cache: null });
  });

  it('is each tweet’s own: who gives up leaves the others their picture', async () => {
    const leaving = new AbortController();
    const inner = memoryOrigin();
    inner.put(URL_A, jpeg);
    const { images } = open({ origin: inner });
    const [gone, stays] = [images.look({ url: URL_A }, leaving.signal), images.look({ url: URL_A }, signal)];
    leaving.abort();
    expect(await gone).toEqual({ status: 'timed_out', cache: null });
    expect(await stays).toMatchObject({ status: 'used' });
    expect(await images.look({ url: `${URL_A}?b` }, leaving.signal)).toEqual({ status: 'timed_out', cache: null });
  });

  it('spares the origin pictures that nobody waits for any more', async () => {
    const leaving = new AbortController();
    const inner = memoryOrigin();
    inner.put(URL_A, 'silent');
    const { origin, arrival } = announced(inner);
    const { images } = open({ origin, options: { concurrency: 1 } });
    const first = images.look({ url: URL_A }, signal);
    await arrival;
    const second = images.look({ url: `${URL_A}?b` }, leaving.signal);
    leaving.abort();
    await second;
    await images.stop();
    expect(await first).toMatchObject({ status: 'skipped' });
    expect(inner.requests).toEqual([URL_A]);
  });
});

describe('under overload', () => {
  /** One picture is fetched and never comes, so that all others wait for its place. */
  async function full(options: ImagesOptions) {
    const origin = memoryOrigin();
    origin.put(URL_A, 'silent');
    let arrived = () => {};
    const fetching = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    const announced: Origin = {
      ...origin,
      fetch(...asked) {
        arrived();
        return origin.fetch(...asked);
      },
    };
    const clock = manualClock();
    const opened = open({
      origin: announced,
      clock,
      cache: memoryCache({ clock }),
      options: { concurrency: 1, ...options },
    });
    const first = opened.images.look({ url: URL_A }, signal);
    await fetching;
    return { ...opened, clock, first, requests: origin.requests };
  }
  const others = (images: Images) =>
    Array.from({ length: 10 }, (_, at) => images.look({ url: `${URL_A}?${at}` }, signal));
  const count = (looks: readonly Look[], status: string) => looks.filter((look) => look.status === status).length;

  it('pictures beyond those that may wait are shed at once, as skipped, and not remembered', async () => {
    const { images, clock, first, requests, cache } = await full({ overload: 'skip', maxWaiting: 3 });
    const looks = others(images);
    const shed = await Promise.race([Promise.all(looks.slice(3)), first.then(() => [])]);
    expect(count(shed, 'skipped')).toBe(7);
    clock.advance(8_000);
    expect(count([await first, ...(await Promise.all(looks.slice(0, 3)))], 'timed_out')).toBe(4);
    expect(requests).toEqual([URL_A]);
    const later = open({ cache });
    later.origin.put(`${URL_A}?9`, jpeg);
    expect(await later.images.look({ url: `${URL_A}?9` }, signal)).toMatchObject({ status: 'used', cache: 'miss' });
  });

  it('what the cache knows is not shed, and a tweet joins a picture that waits already', async () => {
    const { images, clock, first, cache } = await full({ overload: 'skip', maxWaiting: 1 });
    const known = open({ cache });
    known.origin.put(`${URL_A}?known`, jpeg);
    await known.images.look({ url: `${URL_A}?known` }, signal);
    const joined = [1, 2].map(() => images.look({ url: `${URL_A}?joined` }, signal));
    const missed = await images.look({ url: `${URL_A}?shed` }, signal);
    expect(missed).toEqual({ status: 'skipped', cache: null });
    expect(await images.look({ url: `${URL_A}?known` }, signal)).toMatchObject({ status: 'used', cache: 'hit' });
    clock.advance(8_000);
    expect(count([await first, ...(await Promise.all(joined))], 'timed_out')).toBe(3);
  });

  it('all wait until their budgets end, where that is the policy', async () => {
    const { images, clock, first } = await full({ overload: 'wait', maxWaiting: 3 });
    const looks = others(images);
    for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
    clock.advance(8_000);
    expect(count([await first, ...(await Promise.all(looks))], 'timed_out')).toBe(11);
  });
});

describe('when something fails', () => {
  it('a host that fails costs the picture, is said once, and is not remembered', async () => {
    const failing: InferenceHost = { ...host, run: () => Promise.reject(new MnerError('inference_unavailable')) };
    const { images, origin, events, cache } = open({ host: failing });
    origin.put(URL_A, jpeg);
    expect(await images.look({ url: URL_A }, signal)).toEqual({ status: 'skipped', cache: null });
    expect(await images.look({ url: URL_A }, signal)).toEqual({ status: 'skipped', cache: null });
    expect(events.filter((event) => event.type === 'note')).toHaveLength(1);
    const again = open({ cache });
    again.origin.put(URL_A, jpeg);
    expect(await again.images.look({ url: URL_A }, signal)).toMatchObject({ status: 'used', cache: 'miss' });
  });

  it('a defect in an adapter costs the picture, not the tweet', async () => {
    const broken: Origin = { ...memoryOrigin(), fetch: () => Promise.reject(new Error('a defect')) };
    const { images, events } = open({ origin: broken });
    expect(await images.look({ url: URL_A }, signal)).toEqual({ status: 'skipped', cache: null });
    expect(events).toContainEqual(expect.objectContaining({ type: 'note', level: 'error' }));
  });

  it('a stop ends what is under way, twice, and later looks are skipped', async () => {
    const { images, origin } = open();
    origin.put(URL_A, 'silent');
    const look = images.look({ url: URL_A }, signal);
    await images.stop();
    await images.stop();
    expect(await look).toEqual({ status: 'skipped', cache: null });
    expect(await images.look({ url: URL_A }, signal)).toEqual({ status: 'skipped', cache: null });
  });
});

it('goes the whole way over HTTP: used, not_found, unreadable, refused, unreachable', async () => {
  const red = await plain(RED).png().toBuffer();
  const blue = await plain(BLUE).webp().toBuffer();
  const server = await evilServer((path, socket) => {
    if (path === '/red.png') socket.write(answer('200 OK', {}, red));
    else if (path === '/blue') socket.write(answer('302 Found', { location: '/blue.webp' }));
    else if (path === '/blue.webp') socket.write(answer('200 OK', {}, blue));
    else if (path === '/page') socket.write(answer('200 OK', {}, '<html>'));
    else if (path === '/inside') socket.write(answer('302 Found', { location: 'http://127.0.0.1/' }));
    else if (path === '/broken') socket.destroy();
    else socket.write(answer('404 Not Found'));
  });
  const origin = httpOrigin({ policy: addressPolicy({ allow: [server.host] }) });
  try {
    const { images } = open({ origin });
    const paths = ['red.png', 'blue', 'none', 'page', 'inside', 'broken'];
    const seen = async () =>
      (await Promise.all(paths.map((path) => images.look({ url: `http://${server.host}/${path}` }, signal)))).map(
        shown,
      );
    const statuses = ['used', 'used', 'not_found', 'unreadable', 'refused', 'unreachable'];
    expect(await seen()).toEqual(statuses.map((status) => ({ status, cache: 'miss' })));
    expect(await seen()).toEqual(statuses.map((status) => ({ status, cache: 'hit' })));
  } finally {
    await origin.stop();
    await server.stop();
  }
});
