import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createEncoder } from '#mner/text/encode.js';

interface Case {
  name: string;
  words: string[];
  input_ids: number[];
  word_of: number[];
  first: number[];
  chars: number[][];
  flags: number[][];
}

// Written by `python -m mner.fixtures.parity`, from the code that the models were trained with.
const fixture: { tokenizer: string; alphabet: string; cases: Case[] } = JSON.parse(
  readFileSync('test/fixtures/text/parity.json', 'utf8'),
);
const encoder = createEncoder({
  tokenizer: JSON.parse(readFileSync(fixture.tokenizer, 'utf8')),
  settings: {
    max_pieces: 256,
    pieces_per_word: 8,
    pieces_per_mention: 3,
    chars_per_word: 16,
    alphabet: fixture.alphabet,
    flags: 26,
  },
});

describe('from a word to numbers, as the training package does it', () => {
  it.each(fixture.cases)('$name', (one) => {
    // Twice: the second time every word comes from the cache.
    for (let time = 0; time < 2; time++) {
      const { windows } = encoder.encode(one.words);
      expect(windows).toHaveLength(1);
      const window = windows[0]!;
      expect(Array.from(window.inputIds)).toEqual(one.input_ids);
      expect(Array.from(window.wordOf)).toEqual(one.word_of);
      expect(Array.from(window.first)).toEqual(one.first);
      expect(Array.from(window.chars)).toEqual(one.chars.flat());
      expect(Array.from(window.flags, (flag) => Math.round(flag * 1e6) / 1e6)).toEqual(one.flags.flat());
    }
  });
});
