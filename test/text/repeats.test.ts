import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MnerError } from '#mner/errors.js';
import type { PictureInput } from '#mner/inference/row.js';
import type { Event } from '#mner/telemetry/events.js';
import type { Reader, Reading } from '#mner/text/reader.js';
import { createRepeats } from '#mner/text/repeats.js';

const picture = (value: number): PictureInput => ({
  grid: new Uint16Array(8).fill(value),
  embedding: new Uint16Array(4).fill(1),
  tags: [],
  objects: [],
});

function reading(words: readonly string[]): Reading {
  const chunks = words.map((_, i) => ({ type: 'PER', from: i, to: i + 1 }));
  return { chunks, confidences: chunks.map(() => 0.5), relevance: null, regions: null, windows: 1 };
}

/** A reader that answers when it is told to, and what it was asked. */
function setUp(maxBytes = 1 << 20) {
  const events: Event[] = [];
  const asked: {
    words: readonly string[];
    signal: AbortSignal | undefined;
    land: () => void;
    fail: (error: MnerError) => void;
  }[] = [];
  const slow: Reader = {
    read: (words, _picture, { signal } = {}) =>
      new Promise((resolve, reject) => {
        asked.push({ words, signal, land: () => resolve(reading(words)), fail: reject });
      }),
  };
  const repeats = createRepeats({ maxBytes, emit: (event) => void events.push(event) });
  const results = () => events.flatMap((event) => (event.type === 'repeat' ? [event.result] : []));
  return { asked, repeats, slow, results, reader: repeats.around(slow, () => 'ham@1') };
}

describe('the same words with the same picture', () => {
  it('are read once while in flight, and remembered afterwards', async () => {
    const { reader, asked, results } = setUp();
    const [first, second] = [reader.read(['Kobe', 'Bryant'], null), reader.read(['Kobe', 'Bryant'], null)];
    expect(asked).toHaveLength(1);
    asked[0]!.land();
    expect(await first).toEqual(reading(['Kobe', 'Bryant']));
    expect(await second).toBe(await first);
    expect(await reader.read(['Kobe', 'Bryant'], null)).toBe(await first);
    expect(asked).toHaveLength(1);
    expect(results()).toEqual(['computed', 'shared', 'remembered']);
  });

  it('are the same whichever object holds the picture', async () => {
    const { reader, asked } = setUp();
    const first = reader.read(['Rome'], picture(7));
    asked[0]!.land();
    await first;
    await reader.read(['Rome'], picture(7));
    expect(asked).toHaveLength(1);
  });

  it('fail together, and are read again by whoever tries again as soon as he hears of it', async () => {
    const { reader, asked } = setUp();
    const [first, second] = [reader.read(['Rome'], null), reader.read(['Rome'], null)];
    const again = first.catch(() => reader.read(['Rome'], null));
    asked[0]!.fail(new MnerError('inference_unavailable'));
    await expect(first).rejects.toMatchObject({ code: 'inference_unavailable' });
    await expect(second).rejects.toMatchObject({ code: 'inference_unavailable' });
    expect(asked).toHaveLength(2);
    asked[1]!.land();
    expect(await again).toEqual(reading(['Rome']));
  });

  it.each(['inference_poison', 'inference_unavailable'] as const)('are not remembered as %s', async (code) => {
    const { reader, asked, results } = setUp();
    for (let i = 0; i < 2; i++) {
      const failing = reader.read(['Rome'], null);
      asked[i]!.fail(new MnerError(code));
      await expect(failing).rejects.toMatchObject({ code });
    }
    expect(results()).toEqual(['computed', 'computed']);
  });
});

describe('a reading whose lanes are closed', () => {
  it('goes on for whoever still waits', async () => {
    const { reader, asked } = setUp();
    const gone = new AbortController();
    void reader.read(['Rome'], null, { signal: gone.signal });
    const other = reader.read(['Rome'], null, { signal: new AbortController().signal });
    gone.abort();
    expect(asked[0]?.signal?.aborted).toBe(false);
    asked[0]!.land();
    expect(await other).toEqual(reading(['Rome']));
  });

  it('is given up when nobody waits, and whoever comes then has one of his own', async () => {
    const { reader, asked, results } = setUp();
    const gone = new AbortController();
    const left = [
      reader.read(['Rome'], null, { signal: gone.signal }),
      reader.read(['Rome'], null, { signal: gone.signal }),
    ];
    gone.abort();
    expect(asked[0]?.signal?.aborted).toBe(true);
    const fresh = reader.read(['Rome'], null, { signal: new AbortController().signal });
    expect(asked).toHaveLength(2);
    expect(asked[1]?.signal?.aborted).toBe(false);
    asked[0]!.fail(new MnerError('inference_unavailable'));
    await Promise.allSettled(left);
    asked[1]!.land();
    expect(await fresh).toEqual(reading(['Rome']));
    expect(results()).toEqual(['computed', 'shared', 'computed']);
  });

  it('goes on for one who never goes, as a command does', () => {
    const { reader, asked } = setUp();
    const gone = new AbortController();
    void reader.read(['Rome'], null, { signal: gone.signal });
    void reader.read(['Rome'], null);
    gone.abort();
    expect(asked[0]?.signal?.aborted).toBe(false);
  });
});

it('a live tweet does not wait for a replay of the same: it takes the flight over', async () => {
  const { reader, asked, results } = setUp();
  const replay = reader.read(['Rome'], null, { priority: 'replay' });
  const live = reader.read(['Rome'], null, { priority: 'live' });
  const [another, last] = [
    reader.read(['Rome'], null, { priority: 'replay' }),
    reader.read(['Rome'], null, { priority: 'live' }),
  ];
  expect(asked).toHaveLength(2);
  asked[1]!.land();
  expect(await another).toBe(await live);
  expect(await last).toBe(await live);
  asked[0]!.land();
  expect(await replay).toEqual(await live);
  expect(results()).toEqual(['computed', 'computed', 'shared', 'shared']);
});

describe('what could have another answer', () => {
  it.each<[string, (read: ReturnType<typeof setUp>) => unknown]>([
    ['other words', ({ reader }) => reader.read(['Kobe', 'Byrant'], null)],
    ['the same letters cut otherwise', ({ reader }) => reader.read(['Kobe Bryant'], null)],
    ['words in another case', ({ reader }) => reader.read(['kobe', 'Bryant'], null)],
    ['text beside them', ({ reader }) => reader.read(['Kobe', 'Bryant'], null, { context: 'a court' })],
    ['a picture', ({ reader }) => reader.read(['Kobe', 'Bryant'], picture(0))],
    ['another bundle', ({ repeats, slow }) => repeats.around(slow, () => 'ham@2').read(['Kobe', 'Bryant'], null)],
  ])('is read for itself: %s', (_what, read) => {
    const world = setUp();
    void world.reader.read(['Kobe', 'Bryant'], null);
    void read(world);
    expect(world.asked).toHaveLength(2);
  });

  it('is read for itself: other features, objects, or things seen in a picture', () => {
    const { reader, asked } = setUp();
    const object = { class: 1, score: 0.5, box: [0, 0, 1, 1] as const };
    const pictures: PictureInput[] = [
      picture(1),
      picture(2),
      { ...picture(1), embedding: new Uint16Array(4).fill(2) },
      { ...picture(1), objects: [object] },
      { ...picture(1), objects: [{ ...object, score: 0.6 }] },
      // A grid and an embedding whose bytes are the same one after the other.
      { ...picture(1), grid: new Uint16Array(6).fill(1), embedding: new Uint16Array(6).fill(1) },
      Object.assign(picture(1), { words: 'SALE' }),
    ];
    for (const one of pictures) void reader.read(['Rome'], one);
    expect(asked).toHaveLength(pictures.length);
  });

  it('is read for itself once the provider is another', () => {
    const { repeats, slow, asked } = setUp();
    let provider = 'webgpu';
    const reader = repeats.around(slow, () => provider);
    void reader.read(['Rome'], null);
    provider = 'cpu';
    void reader.read(['Rome'], null);
    expect(asked).toHaveLength(2);
  });

  it('is never mixed up, whatever the words hold', () => {
    const units = fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 6 });
    const word = fc.oneof(
      units.map((codes) => String.fromCharCode(...codes)),
      fc.constantFrom('\ud83c', '\udf0d', '"', '\\', '\u0000', ','),
    );
    const text = fc.array(word, { maxLength: 4 });
    fc.assert(
      fc.property(text, text, (a, b) => {
        const { reader, asked } = setUp();
        void reader.read(a, null);
        void reader.read(b, null);
        expect(asked).toHaveLength(JSON.stringify(a) === JSON.stringify(b) ? 1 : 2);
      }),
    );
  });
});

it('the memory has a bound: the least lately used goes first', async () => {
  const { reader, asked } = setUp(3 * 700);
  const read = async (word: string) => {
    const before = asked.length;
    const answer = reader.read([word], null);
    asked[before]?.land();
    await answer;
    return asked.length > before;
  };
  for (const word of ['a', 'b', 'c']) expect(await read(word)).toBe(true);
  expect(await read('a')).toBe(false);
  expect(await read('d')).toBe(true);
  expect(await read('a')).toBe(false);
  expect(await read('b')).toBe(true);
});
