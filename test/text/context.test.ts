import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type ContextSettings, contextText } from '#mner/text/context.js';
import { createEncoder, type Encoder } from '#mner/text/encode.js';

interface Case {
  name: string;
  settings: ContextSettings;
  alt_text?: string;
  objects?: string[];
  tags?: [string, number][];
  words?: string;
  tweet: string[];
  text: string;
  input_ids: number[];
  word_of: number[];
  token_type_ids: number[];
}

// Written by `python -m mner.fixtures.context`, from the code that the models were trained with.
const fixture: { tokenizer: string; cases: Case[] } = JSON.parse(
  readFileSync('test/fixtures/text/context.json', 'utf8'),
);
const tokenizer = JSON.parse(readFileSync(fixture.tokenizer, 'utf8'));
const settings = { max_pieces: 256, pieces_per_word: 8, pieces_per_mention: 3 };
/** By the pieces of a row; made once, since reading a tokenizer takes its time. */
const encoders = new Map<number, Encoder>();
const encoderOf = (rowPieces: number) => {
  const encoder = encoders.get(rowPieces) ?? createEncoder({ tokenizer, settings, rowPieces });
  encoders.set(rowPieces, encoder);
  return encoder;
};

describe('text beside the tweet, as the training package reads it', () => {
  it.each(fixture.cases)('$name', ({ settings: context, alt_text, objects, tags, words, tweet, ...expected }) => {
    const text = contextText(context, {
      altText: alt_text,
      objects,
      tags: tags?.map(([label, score]) => ({ label, score })),
      words,
    });
    expect(text).toBe(expected.text);
    const { windows } = encoderOf(context.max_pieces).encode(tweet, text);
    // A tweet without words is not read at all.
    expect(windows).toHaveLength(tweet.length === 0 ? 0 : 1);
    for (const window of windows) {
      expect(Array.from(window.inputIds)).toEqual(expected.input_ids);
      expect(Array.from(window.wordOf)).toEqual(expected.word_of);
      expect(expected.token_type_ids).toEqual(expected.input_ids.map((_, i) => (i < window.ownPieces ? 0 : 1)));
    }
  });
});

describe('the context of a row', () => {
  const words = Array.from({ length: 200 }, (_, i) => `word${i}`);

  it('of 200 words leaves the tweet as it is, its places, its characters and all, and ends at the bound', () => {
    const encoder = encoderOf(128);
    const alone = encoder.encode(['Anna', 'met', 'Ben']).windows[0]!;
    const beside = encoder.encode(['Anna', 'met', 'Ben'], words.join(' ')).windows[0]!;
    expect(beside.pieces).toBe(128);
    expect(beside.words).toBe(3);
    expect(beside.first).toEqual(alone.first);
    expect(beside.inputIds.subarray(0, alone.pieces)).toEqual(alone.inputIds);
    expect(beside.wordOf.subarray(alone.pieces).every((of) => of === 0)).toBe(true);
    expect(beside.inputIds.at(-1)).toBe(alone.inputIds.at(-1));
  });

  it('is in every window of a long text, each within the bound', () => {
    const { windows } = encoderOf(300).encode(words, 'a dog on a beach');
    expect(windows.length).toBeGreaterThan(1);
    for (const { pieces, ownPieces } of windows) {
      expect(ownPieces).toBeLessThanOrEqual(256);
      expect(pieces).toBe(ownPieces + 6);
    }
  });

  it('is left out where the tweet takes all: no window is cut for it', () => {
    const plain = encoderOf(100).encode(words);
    expect(encoderOf(100).encode(words, 'a dog on a beach').windows[0]).toEqual(plain.windows[0]);
  });
});
