import type { Random } from './random.js';
import type { TweetCounts } from './score.js';

/** In per cent: 19 of 20 samples of tweets lie between. */
export type Interval = readonly [low: number, high: number];

/** Intervals of F1. */
export interface Intervals {
  readonly micro: Interval;
  readonly by_type: Readonly<Record<string, Interval>>;
}

/** How much F1 owes to the tweets that happened to be chosen: percentiles over samples of as many tweets, drawn with replacement. */
export function bootstrapF1(
  tweets: readonly TweetCounts[],
  types: readonly string[],
  samples: number,
  random: Random,
): Intervals {
  const micro = flatten(tweets);
  const byType = types.map((type) => flatten(tweets, type));
  const drawn = { micro: new Float64Array(samples), types: types.map(() => new Float64Array(samples)) };
  const sample = new Uint32Array(tweets.length);
  for (let n = 0; n < samples; n++) {
    for (let i = 0; i < sample.length; i++) sample[i] = random.below(tweets.length);
    drawn.micro[n] = f1Of(micro, sample);
    byType.forEach((counts, t) => {
      (drawn.types[t] as Float64Array)[n] = f1Of(counts, sample);
    });
  }
  return {
    micro: middle(drawn.micro),
    by_type: Object.fromEntries(types.map((type, t) => [type, middle(drawn.types[t] as Float64Array)])),
  };
}

/** Right, gold and told of each tweet, one after the other: a sum over a sample allocates nothing. */
export function flatten(tweets: readonly TweetCounts[], only?: string): Int32Array {
  const flat = new Int32Array(tweets.length * 3);
  tweets.forEach((counts, i) => {
    for (const [type, { right, gold, told }] of counts) {
      if (only !== undefined && type !== only) continue;
      flat[3 * i] = (flat[3 * i] as number) + right;
      flat[3 * i + 1] = (flat[3 * i + 1] as number) + gold;
      flat[3 * i + 2] = (flat[3 * i + 2] as number) + told;
    }
  });
  return flat;
}

/** F1 in per cent, not rounded, over some of the tweets, each as often as it is named. */
export function f1Of(flat: Int32Array, sample: ArrayLike<number>): number {
  let right = 0;
  let all = 0;
  for (let i = 0; i < sample.length; i++) {
    const at = 3 * (sample[i] as number);
    right += flat[at] as number;
    all += (flat[at + 1] as number) + (flat[at + 2] as number);
  }
  return all === 0 ? 0 : (200 * right) / all;
}

/** The middle 95 in 100 of the values, which are sorted. */
export function middle(values: Float64Array): Interval {
  values.sort();
  const at = (share: number) => Math.round(100 * (values[Math.round(share * (values.length - 1))] ?? 0)) / 100;
  return [at(0.025), at(0.975)];
}
