import { describe, expect, it } from 'vitest';
import { type Answer, entityName, isShouted, sliceScores } from '#mner/ner/slices.js';

const answer = (text: string, gold: [string, number, number][], told = gold, pictured = false): Answer => {
  const words = text.split(' ');
  const stretches = (list: [string, number, number][]) => list.map(([type, from, to]) => ({ type, from, to }));
  return {
    words,
    gold: stretches(gold),
    told: stretches(told),
    surfaceOf: ({ from, to }) => words.slice(from, to).join(' '),
    pictured,
  };
};

const answers = [
  answer(
    'Kobe Bryant in Rome #tbt',
    [
      ['PER', 0, 2],
      ['LOC', 3, 4],
    ],
    [['PER', 0, 2]],
    true,
  ),
  answer('GOOD MORNING ROME', [['LOC', 2, 3]], [['ORG', 2, 3]]),
  answer(
    'see Oslo and rome',
    [
      ['LOC', 1, 2],
      ['LOC', 3, 4],
    ],
    [
      ['LOC', 1, 2],
      ['LOC', 3, 4],
      ['PER', 2, 3],
    ],
  ),
  answer('nothing here', []),
];
const slice = (name: string, seen: ReadonlySet<string> | null = null) =>
  sliceScores(answers, seen).find((one) => one.slice === name);

describe('the slices', () => {
  it('part entities by whether training held them, in any case, with their type', () => {
    const seen = new Set([entityName('LOC', 'Rome'), entityName('PER', 'Rome')]);
    expect(slice('entities seen in training', seen)).toEqual({
      slice: 'entities seen in training',
      tweets: 3,
      // Gold: three times Rome as LOC. Told: once, rightly. ORG ROME was never seen.
      score: { precision: 100, recall: 33.33, f1: 50, support: 3 },
    });
    expect(slice('entities unseen in training', seen)).toMatchObject({
      tweets: 2,
      score: { precision: 50, recall: 100, support: 2 },
    });
    expect(slice('entities seen in training')).toBeUndefined();
  });

  it('part tweets by capitals, hashtags and pictures; both parts make the whole', () => {
    expect(slice('tweets in capitals')).toMatchObject({ tweets: 1, score: { f1: 0, support: 1 } });
    expect(slice('tweets with a hashtag')).toMatchObject({
      tweets: 1,
      score: { precision: 100, recall: 50, support: 2 },
    });
    expect(slice('tweets without a hashtag')).toMatchObject({ tweets: 3, score: { support: 3 } });
    expect(slice('tweets with a picture')).toMatchObject({ tweets: 1, score: { support: 2 } });
    expect(slice('tweets without a picture')).toMatchObject({ tweets: 3, score: { support: 3 } });
  });

  it.each([
    ['GOOD MORNING ROME', true],
    ['GOOD MORNING ROME https://t.co/abc @friend #tbt', true],
    ['GOOD morning Rome', false],
    ['RT OK', false],
    ['東京 123 !', false],
    ['', false],
  ])('%s is in capitals: %s', (text, shouted) => {
    expect(isShouted(text.split(' '))).toBe(shouted);
  });
});
