import { f1Of, flatten, type Interval, middle } from './bootstrap.js';
import type { Random } from './random.js';
import type { TweetCounts } from './score.js';

/** Two models over the same tweets. */
export interface Comparison {
  /** F1 of the first less that of the second, in per cent. */
  readonly difference: number;
  /** Of that difference, over samples of tweets drawn with replacement, the same for both. */
  readonly interval: Interval;
  /**
   * Share of random exchanges that differ at least as much: the chance of such a difference if it made none which of the two read a
   * tweet.
   */
  readonly p: number;
}

/**
 * Whether one model is better than another: approximate randomisation over tweets (Noreen 1989; Yeh 2000), two-sided. In each round the
 * answers of the two to each tweet are exchanged or not by the toss of a coin.
 *
 * @param first counts of each tweet @param second of the same tweets, in the same order
 */
export function compareF1(
  first: readonly TweetCounts[],
  second: readonly TweetCounts[],
  rounds: number,
  random: Random,
): Comparison {
  const [a, b] = [flatten(first), flatten(second)];
  const every = Uint32Array.from(first.keys());
  const seen = f1Of(a, every) - f1Of(b, every);
  let asMuch = 0;
  for (let n = 0; n < rounds; n++) {
    if (Math.abs(exchanged(a, b, random)) >= Math.abs(seen) - 1e-9) asMuch++;
  }
  const differences = new Float64Array(rounds);
  const sample = new Uint32Array(first.length);
  for (let n = 0; n < rounds; n++) {
    for (let i = 0; i < sample.length; i++) sample[i] = random.below(first.length);
    differences[n] = f1Of(a, sample) - f1Of(b, sample);
  }
  return {
    difference: Math.round(100 * seen) / 100,
    interval: middle(differences),
    p: Number(((asMuch + 1) / (rounds + 1)).toPrecision(3)),
  };
}

/** The difference of F1 with the answers to about half of the tweets exchanged. */
function exchanged(a: Int32Array, b: Int32Array, random: Random): number {
  let [rightA, allA, rightB, allB] = [0, 0, 0, 0];
  for (let at = 0; at < a.length; at += 3) {
    const swaps = random.coin();
    const one = swaps ? b : a;
    const other = swaps ? a : b;
    rightA += one[at] as number;
    allA += (one[at + 1] as number) + (one[at + 2] as number);
    rightB += other[at] as number;
    allB += (other[at + 1] as number) + (other[at + 2] as number);
  }
  return 100 * (f1(rightA, allA) - f1(rightB, allB));
}

function f1(right: number, all: number): number {
  return all === 0 ? 0 : (2 * right) / all;
}
