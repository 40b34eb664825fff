import { describe, expect, it } from 'vitest';
import { MAX_WORDS_LENGTH, tidyWords, wordsOfTsv } from '#mner/image/ocr-words.js';

describe('the words of a TSV', () => {
  const line = (level: number, confidence: number, word: string) =>
    [level, 1, 1, 1, 1, 1, 0, 0, 9, 9, confidence, word].join('\t');

  it('are those that the engine is sure of', () => {
    const tsv = [
      line(1, -1, ''),
      line(4, -1, ''),
      line(5, 96.2, 'Vote'),
      line(5, 59.9, 'vvw'),
      line(5, 60, 'Obama'),
      '',
    ];
    expect(wordsOfTsv(tsv.join('\n'))).toBe('Vote Obama');
  });

  it('have two letters or numbers at least', () => {
    expect(
      wordsOfTsv(
        [
          line(5, 95, '—'),
          line(5, 95, '|'),
          line(5, 95, '2024'),
          line(5, 95, 'S'),
          line(5, 95, '(U2)'),
          line(5, 95, 'ΩΩ'),
        ].join('\n'),
      ),
    ).toBe('2024 (U2) ΩΩ');
  });

  it.each(['', 'nonsense', '5\t1', '\t\t\t\t\t\t\t\t\t\t\t'])('are none in %j', (tsv) => {
    expect(wordsOfTsv(tsv)).toBe('');
  });
});

describe('tidy words', () => {
  it.each([
    ['  FC\n\nBarcelona\t ', 'FC Barcelona'],
    ['a\0b\u001b[31m\u200bc\ud800d', 'a b [31m c d'],
    [' \n ', ''],
    ['Zoë 🎉', 'Zoë 🎉'],
  ])('%j becomes %j', (text, expected) => {
    expect(tidyWords(text)).toBe(expected);
  });

  it('end with a word, after 300 code points at most', () => {
    expect(tidyWords(`${'ab '.repeat(200)}`)).toBe('ab '.repeat(100).trim());
    expect(tidyWords(`${'abc '.repeat(74)}abc${'x'.repeat(9)} y`)).toBe('abc '.repeat(74).trim());
    expect([...tidyWords('🎉'.repeat(1000))]).toHaveLength(MAX_WORDS_LENGTH);
    expect([...tidyWords('x'.repeat(1e6))]).toHaveLength(MAX_WORDS_LENGTH);
  });
});
