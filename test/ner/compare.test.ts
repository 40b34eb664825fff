import { describe, expect, it } from 'vitest';
import { compareF1 } from '#mner/ner/compare.js';
import { seeded } from '#mner/ner/random.js';
import { countChunks } from '#mner/ner/score.js';

const per = (from: number) => ({ type: 'PER', from, to: from + 1 });
const right = countChunks([per(0)], [per(0)]);
const wrong = countChunks([per(0)], [per(1)]);
const answers = (count: number, isRight: (tweet: number) => boolean) =>
  Array.from({ length: count }, (_, tweet) => (isRight(tweet) ? right : wrong));

describe('two models over the same tweets', () => {
  it('differ by nothing when their answers are the same', () => {
    const same = answers(200, (tweet) => tweet % 3 > 0);
    expect(compareF1(same, same, 500, seeded(1))).toEqual({ difference: 0, interval: [0, 0], p: 1 });
  });

  it('differ beyond doubt when one is better on a fifth of the tweets', () => {
    const [better, worse] = [answers(200, () => true), answers(200, (tweet) => tweet % 5 > 0)];
    const found = compareF1(better, worse, 999, seeded(1));
    expect(found.difference).toBe(20);
    expect(found.p).toBe(0.001);
    expect(found.interval[0]).toBeGreaterThan(13);
    expect(found.interval[1]).toBeLessThan(27);
    const other = compareF1(worse, better, 999, seeded(1));
    expect([other.difference, other.p]).toEqual([-20, 0.001]);
  });

  it('may differ by chance: 3 to 1 among 200 tweets are not enough, and p is what the coins say', () => {
    const [a, b] = [answers(200, (tweet) => tweet !== 0), answers(200, (tweet) => tweet > 2)];
    // b errs on tweets 0 to 2, a on tweet 0: they differ on two. Both coins must fall the same way: half of the time.
    const { difference, p } = compareF1(a, b, 4000, seeded(5));
    expect(difference).toBe(1);
    expect(Math.abs(p - 0.5)).toBeLessThan(0.05);
  });

  it('is rarely certain where nothing is: of 100 pairs of equal models about 5 have p below 0.05', () => {
    const random = seeded(11);
    let below = 0;
    for (let pair = 0; pair < 100; pair++) {
      const [a, b] = [answers(100, () => random.below(4) > 0), answers(100, () => random.below(4) > 0)];
      if (compareF1(a, b, 200, random).p < 0.05) below++;
    }
    expect(below).toBeLessThanOrEqual(14);
  });
});
