import { describe, expect, it } from 'vitest';
import { bootstrapF1, f1Of, flatten, middle } from '#mner/ner/bootstrap.js';
import { seeded } from '#mner/ner/random.js';
import { countChunks, scoreCounts, type TweetCounts } from '#mner/ner/score.js';

const per = (from: number) => ({ type: 'PER', from, to: from + 1 });
const right: TweetCounts = countChunks([per(0)], [per(0)]);
const wrong: TweetCounts = countChunks([per(0)], [per(1)]);
const nothing: TweetCounts = countChunks([], []);

describe('the bootstrap over tweets', () => {
  const mixed = Array.from({ length: 400 }, (_, i) => (i % 4 === 0 ? wrong : right));

  it('gives the interval of a share that statistics know: 75 ± 4.2 of 400', () => {
    const { micro, by_type } = bootstrapF1(mixed, ['PER', 'LOC'], 2000, seeded(1));
    expect(micro[0]).toBeGreaterThan(69.5);
    expect(micro[0]).toBeLessThan(72);
    expect(micro[1]).toBeGreaterThan(78);
    expect(micro[1]).toBeLessThan(80.5);
    expect(by_type.PER).toEqual(micro);
    expect(by_type.LOC).toEqual([0, 0]);
  });

  it('is the same for the same seed, and wider for fewer tweets', () => {
    const interval = (tweets: readonly TweetCounts[], seed: number) => bootstrapF1(tweets, [], 500, seeded(seed)).micro;
    expect(interval(mixed, 3)).toEqual(interval(mixed, 3));
    const [low, high] = interval(mixed, 3);
    const [lowest, highest] = interval(mixed.slice(0, 40), 3);
    expect(highest - lowest).toBeGreaterThan(high - low);
  });

  it('is a point where every sample is the same, and 0 of nothing', () => {
    expect(bootstrapF1([right, right], ['PER'], 100, seeded(1)).micro).toEqual([100, 100]);
    expect(bootstrapF1([nothing], ['PER'], 100, seeded(1)).micro).toEqual([0, 0]);
  });

  it('counts a whole sample as the scorer does', () => {
    const every = mixed.map((_, i) => i);
    expect(f1Of(flatten(mixed), every)).toBeCloseTo(scoreCounts(mixed).micro.f1, 2);
    expect(f1Of(flatten(mixed, 'LOC'), every)).toBe(0);
  });
});

it('the middle of values leaves out a fortieth at each end', () => {
  expect(middle(Float64Array.from({ length: 1001 }, (_, i) => 1000 - i))).toEqual([25, 975]);
});
