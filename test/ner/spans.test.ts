import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chunksOf, codePoints, placeChunks } from '#mner/ner/spans.js';

describe('chunksOf', () => {
  it.each<[string, string, string]>([
    ['O B-PER I-PER O', 'PER 1-3', 'PER 1-3'],
    ['B-PER B-PER', 'PER 0-1 PER 1-2', 'PER 0-1 PER 1-2'],
    ['I-PER I-PER O', 'PER 0-2', ''],
    ['B-PER I-LOC I-LOC', 'PER 0-1 LOC 1-3', 'PER 0-1'],
    ['B-LOC I-LOC', 'LOC 0-2', 'LOC 0-2'],
    ['O', '', ''],
    ['', '', ''],
  ])('%s', (labels, lenient, strict) => {
    const tell = (isLenient: boolean) =>
      chunksOf(labels === '' ? [] : labels.split(' '), isLenient)
        .map(({ type, from, to }) => `${type} ${from}-${to}`)
        .join(' ');
    expect(tell(true)).toBe(lenient);
    expect(tell(false)).toBe(strict);
  });
});

describe('placeChunks', () => {
  it('counts code points and UTF-16 units, and takes the exact slice', () => {
    const text = '😀😀 Kobe  Bryant &amp; 👩‍💻';
    const words = [
      { start: 0, end: 2 },
      { start: 2, end: 4 },
      { start: 5, end: 9 },
      { start: 11, end: 17 },
      { start: 18, end: 23 },
      { start: 24, end: 29 },
    ];
    const chunks = [
      { type: 'PER', from: 2, to: 4 },
      { type: 'MISC', from: 5, to: 6 },
    ];
    expect(placeChunks(chunks, [0.9, 0.5], words, text)).toEqual([
      { type: 'PER', text: 'Kobe  Bryant', start: 3, end: 15, utf16: [5, 17], confidence: 0.9 },
      { type: 'MISC', text: '👩‍💻', start: 22, end: 25, utf16: [24, 29], confidence: 0.5 },
    ]);
  });

  it('agrees with the slice in both units, whatever the text', () => {
    const parts = fc.array(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 4 }), {
      minLength: 1,
      maxLength: 12,
    });
    fc.assert(
      fc.property(parts, (texts) => {
        const text = texts.join('');
        let end = 0;
        const words = texts.map((part) => {
          const start = end;
          end += part.length;
          return { start, end };
        });
        const chunks = words.map((_, i) => ({ type: 'PER', from: i, to: i + 1 }));
        for (const entity of placeChunks(
          chunks,
          chunks.map(() => 1),
          words,
          text,
        )) {
          expect(text.slice(...entity.utf16)).toBe(entity.text);
          expect([...text].slice(entity.start, entity.end).join('')).toBe(entity.text);
        }
      }),
    );
  });
});

it('codePoints counts a pair once and a lone surrogate once', () => {
  expect(codePoints('a😀\ud83d')).toBe(3);
});
