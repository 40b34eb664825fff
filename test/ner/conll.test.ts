import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { detectMentions, joinWords, readConll, toStretches } from '#mner/ner/conll.js';
import { scoreChunks } from '#mner/ner/score.js';
import { chunksOf } from '#mner/ner/spans.js';

describe('readConll', () => {
  it('reads tweets with their picture, tabs or spaces, blank words and foreign types', () => {
    const tweets = readConll(
      'IMGID:12\r\nAnna\tB-PER\r\n\tO\r\nGame\tB-OTHER\r\n\r\n\nIMGID:x_3\nU2 _ B-group\nnow _ O\ncar _ B-vehicle\n-DOCSTART- O\nOslo B-location',
    );
    expect(tweets).toEqual([
      { imageId: '12', words: ['Anna', '', 'Game'], labels: ['B-PER', 'O', 'B-MISC'] },
      { imageId: 'x_3', words: ['U2', 'now', 'car'], labels: ['B-ORG', 'O', 'O'] },
      { imageId: null, words: ['Oslo'], labels: ['B-LOC'] },
    ]);
  });

  it('takes an empty file', () => {
    expect(readConll('')).toEqual([]);
  });
});

describe('detectMentions', () => {
  const file = (...tweets: string[]) =>
    tweets.map((text) => ({ imageId: null, words: text.split(' '), labels: text.split(' ').map(() => 'O') }));

  it('is entity where lone @ tokens precede words', () => {
    expect(detectMentions(file('go @ warriors !', 'no mention'))).toBe('entity');
    expect(detectMentions(file('RT @LFC :', '@ home'.replace('@ ', '@')))).toBe('ignore');
    expect(detectMentions(file('meet @ : 5', '@anna'))).toBe('ignore');
    expect(detectMentions(file('no mention'))).toBe('ignore');
  });
});

describe('joinWords', () => {
  it('tells where each word stands, blank ones too', () => {
    const { text, places } = joinWords(['Anna', '', 'Berg']);
    expect(text).toBe('Anna  Berg');
    expect(places.map(({ start, end }) => text.slice(start, end))).toEqual(['Anna', '', 'Berg']);
    expect(toStretches([{ type: 'PER', from: 0, to: 3 }], places)).toEqual([{ type: 'PER', from: 0, to: 10 }]);
  });
});

// The supports that are published for these files pin reader and scorer down.
const data = process.env.MNER_TEST_DATA ?? '../shared/data';
describe.skipIf(!existsSync(join(data, 'twitter2015')))('the valid splits', () => {
  it.each([
    ['twitter2015', 1000, 1594, 1541, 'ignore'],
    ['twitter2017', 723, 1324, 1324, 'entity'],
  ])('%s', (name, count, lenient, strict, mentions) => {
    const tweets = readConll(readFileSync(join(data, name, 'valid.txt'), 'utf8'));
    expect(tweets).toHaveLength(count);
    expect(tweets.every(({ imageId }) => imageId)).toBe(true);
    const support = (isLenient: boolean) => {
      const gold = tweets.map(({ labels }) => chunksOf(labels, isLenient));
      return scoreChunks(gold, gold).micro;
    };
    expect(support(true)).toMatchObject({ support: lenient, f1: 100 });
    expect(support(false)).toMatchObject({ support: strict, f1: 100 });
    expect(detectMentions(tweets)).toBe(mentions);
  });
});
