import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createEncoder, planWindows } from '#mner/text/encode.js';
import { mergeWindows } from '#mner/text/merge.js';

const settings = {
  max_pieces: 32,
  pieces_per_word: 8,
  pieces_per_mention: 3,
  chars_per_word: 16,
  alphabet: 'abc',
  flags: 26 as const,
};
const tokenizer = JSON.parse(readFileSync('test/fixtures/bundles/ham-tiny/tokenizer.json', 'utf8'));

describe('windows', () => {
  it('hold every word once, in order, with room on both sides', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 8 }), { maxLength: 300 }),
        fc.integer({ min: 14, max: 60 }),
        (sizes, room) => {
          const plan = planWindows(sizes, room);
          let kept = 0;
          plan.forEach(({ from, to, keepFrom, keepTo }, i) => {
            expect(sizes.slice(from, to).reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(room);
            expect(keepFrom).toBe(kept);
            expect(keepFrom).toBeGreaterThanOrEqual(from);
            expect(keepTo).toBeLessThanOrEqual(to);
            expect(keepTo).toBeGreaterThan(keepFrom);
            if (i > 0) expect(from).toBeGreaterThan(plan[i - 1]!.from);
            kept = keepTo;
          });
          expect(kept).toBe(sizes.length);
        },
      ),
    );
  });

  it('take a word from the window that shows more around it', () => {
    const plan = planWindows(Array(100).fill(1), 40);
    expect(plan).toEqual([
      { from: 0, to: 40, keepFrom: 0, keepTo: 35 },
      { from: 30, to: 70, keepFrom: 35, keepTo: 65 },
      { from: 60, to: 100, keepFrom: 65, keepTo: 100 },
    ]);
  });

  it('are one for a tweet, none for no words', () => {
    const encoder = createEncoder({ tokenizer, settings });
    expect(encoder.encode(['Anna', 'met', 'Ben']).windows).toHaveLength(1);
    expect(encoder.encode([])).toEqual({ words: 0, windows: [] });
  });

  it('never exceed max_pieces and merge to one reading', () => {
    const encoder = createEncoder({ tokenizer, settings });
    const words = Array.from({ length: 90 }, (_, i) => `w${i}`);
    const tweet = encoder.encode(words);
    expect(tweet.windows.length).toBeGreaterThan(2);
    for (const window of tweet.windows) expect(window.pieces).toBeLessThanOrEqual(settings.max_pieces);
    // Each window says of each of its words which word it is: merging must give them back in order.
    const results = tweet.windows.map((window, i) => ({
      emissions: Float32Array.from({ length: window.words * 2 }, (_, at) => window.from + Math.floor(at / 2)),
      relevance: i / 10,
      regions: null,
    }));
    const reading = mergeWindows(tweet, results);
    expect(Array.from(reading.emissions)).toEqual(words.flatMap((_, i) => [i, i]));
    const mean = tweet.windows.reduce((sum, { keepFrom, keepTo }, i) => sum + ((keepTo - keepFrom) * i) / 10, 0) / 90;
    expect(reading.relevance).toBeCloseTo(mean, 6);
  });

  it('share the flags of the whole tweet', () => {
    const encoder = createEncoder({ tokenizer, settings });
    const { windows } = encoder.encode(Array.from({ length: 60 }, (_, i) => (i < 50 ? 'OSLO' : 'oslo')));
    const last = windows.at(-1)!;
    expect(last.flags[24]).toBeCloseTo(50 / 60, 6);
    expect(last.flags[13]).toBe(0);
  });
});
