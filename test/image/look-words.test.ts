import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { memoryCache } from '#mner/image/cache/memory.js';
import { memoryOrigin } from '#mner/image/fetch/memory.js';
import { createImages, type Images } from '#mner/image/look.js';
import type { WordReaderOptions } from '#mner/image/ocr.js';
import type { Cache, Look } from '#mner/image/port.js';
import type { Event } from '#mner/telemetry/events.js';
import { plain, RED } from './pictures.js';
import { slowEngine } from './slow-engine.js';
import { type CountingHost, TINY, tinyVision } from './vision-tiny.js';
import { canDrawWords, wordPicture } from './word-pictures.js';

const URL_A = 'https://pictures.example/a.png';
const { signal } = new AbortController();
/** Its words are the picture's width; a width of 2 makes it spin. */
const FAULTS: WordReaderOptions = { program: 'test/image/programs/ocr-fault.mjs', timeoutMs: 20_000 };
let host: CountingHost;
const opened: Images[] = [];

beforeAll(async () => {
  host = await tinyVision();
});
afterEach(async () => {
  for (const images of opened.splice(0)) await images.stop();
});
afterAll(() => host.stop());

function open({ words, cache = memoryCache() }: { words?: WordReaderOptions; cache?: Cache } = {}) {
  const origin = memoryOrigin();
  const events: Event[] = [];
  const options = { budgetMs: 60_000, decoder: { concurrency: 1 }, ...(words && { words }) };
  const images = createImages({ origin, cache, host, bundle: TINY, emit: (event) => void events.push(event), options });
  opened.push(images);
  return { images, origin, events };
}

const wordsOf = (look: Look) => (look.status === 'used' ? look.features.words : look.status);
const picture = (width: number) => plain(RED, width, 40).png().toBuffer();

/** Programs that this process has started and that still run. */
function programs(): string {
  const folder = `/proc/${process.pid}/task`;
  const ids = readdirSync(folder).flatMap((task) =>
    readFileSync(`${folder}/${task}/children`, 'utf8').split(' ').filter(Boolean),
  );
  return ids.map((id) => readFileSync(`/proc/${id}/cmdline`, 'utf8')).join('\n');
}

it('finds the words, remembers them, and cuts no corner of the features', async () => {
  const cache = memoryCache();
  const { images, origin, events } = open({ words: FAULTS, cache });
  origin.put(URL_A, await picture(640));
  const first = await images.look({ url: URL_A }, signal);
  expect(wordsOf(first)).toBe('640');
  // The size of the picture is not remembered.
  const { size: _, ...remembered } = first as Extract<Look, { status: 'used' }>;
  expect(await images.look({ url: URL_A }, signal)).toEqual({ ...remembered, cache: 'hit' });
  expect(events.filter((event) => event.type === 'image_words')).toEqual([{ type: 'image_words', result: 'found' }]);

  const without = open({ cache });
  without.origin.put(URL_A, await picture(640));
  const second = await without.images.look({ url: URL_A }, signal);
  expect(second).toMatchObject({ status: 'used', cache: 'miss' });
  if (first.status !== 'used' || second.status !== 'used') return;
  expect(second.features).not.toHaveProperty('words');
  expect({ ...second.features, words: '640' }).toEqual(first.features);
});

it('with a large picture reads one of 1024 pixels', async () => {
  const { images, origin } = open({ words: FAULTS });
  origin.put(URL_A, await picture(3000));
  expect(wordsOf(await images.look({ url: URL_A }, signal))).toBe('1024');
});

it('goes on without words that take too long, and asks again after ten minutes', async () => {
  const lifetimes: number[] = [];
  const cache = memoryCache();
  const watched: Cache = {
    ...cache,
    set(key, value, seconds) {
      lifetimes.push(seconds);
      return cache.set(key, value, seconds);
    },
  };
  const { images, origin } = open({ words: { ...FAULTS, timeoutMs: 8_000 }, cache: watched });
  for (const [name, width] of [
    ['warm', 7],
    ['spins', 2],
  ] as const) {
    origin.put(`https://pictures.example/${name}`, await picture(width));
    const look = await images.look({ url: `https://pictures.example/${name}` }, signal);
    expect(wordsOf(look)).toBe(name === 'warm' ? '7' : undefined);
    expect(look.status).toBe('used');
  }
  await images.look({ url: 'https://pictures.example/spins' }, signal);
  expect(lifetimes).toHaveLength(2);
  expect(lifetimes[0]).toBeGreaterThan(6 * 24 * 3600);
  expect(lifetimes[1]).toBeLessThanOrEqual(600);
});

it('an engine that starts slowly costs a picture its words, and not its place in the tweet', async () => {
  const { program } = slowEngine();
  const { images, origin } = open({ words: { program, timeoutMs: 300 } });
  origin.put(URL_A, await picture(640));
  const look = await images.look({ url: URL_A }, signal);
  expect([look.status, wordsOf(look)]).toEqual(['used', undefined]);
});

it.runIf(process.platform === 'linux')('starts no engine unless asked, and leaves none behind', async () => {
  const { images, origin, events } = open();
  origin.put(URL_A, await picture(640));
  expect(await images.look({ url: URL_A }, signal)).toMatchObject({ status: 'used' });
  expect(programs()).toContain('decode-child');
  expect(programs()).not.toContain('ocr');
  expect(events.filter((event) => event.type === 'image_words')).toEqual([]);
  const asked = open({ words: FAULTS });
  expect(programs()).not.toContain('ocr');
  asked.origin.put(URL_A, await picture(640));
  await asked.images.look({ url: URL_A }, signal);
  expect(programs()).toContain('ocr-fault');
  await asked.images.stop();
  expect(programs()).not.toContain('ocr');
});

it.skipIf(!(await canDrawWords()))('reads a real picture with the real engine (skipped without a font)', async () => {
  const { images } = open({ words: { timeoutMs: 50_000, startTimeoutMs: 50_000 } });
  const data = (await wordPicture('Lionel Messi')).toString('base64');
  const [first] = await Promise.all([images.look({ data }, signal), images.look({ data }, signal)]);
  expect(wordsOf(first)).toBe('Lionel Messi');
});
