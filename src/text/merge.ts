import type { RowResult } from '../inference/row.js';
import type { EncodedTweet } from './encode.js';

/** What the model says of a whole tweet, however many windows it was read in. */
export interface TweetReading {
  /** [words, labels] */
  readonly emissions: Float32Array;
  /** The gate, over several windows the mean by the words that each decides; null where the family has none. */
  readonly relevance: number | null;
  /** Null too when there are several windows, since they may look at different parts of the picture. */
  readonly regions: Float32Array | null;
}

/** Puts a tweet together from the results of its windows, each word from the window that shows most around it. */
export function mergeWindows(tweet: EncodedTweet, results: readonly RowResult[]): TweetReading {
  const only = results[0];
  if (results.length === 1 && only) return only;
  if (!only) return { emissions: new Float32Array(0), relevance: null, regions: null };
  const labels = only.emissions.length / (tweet.windows[0]?.words ?? 1);
  const emissions = new Float32Array(tweet.words * labels);
  let relevance: number | null = null;
  results.forEach((result, i) => {
    const window = tweet.windows[i];
    if (!window) return;
    const { from, keepFrom, keepTo } = window;
    emissions.set(result.emissions.subarray((keepFrom - from) * labels, (keepTo - from) * labels), keepFrom * labels);
    if (result.relevance !== null) {
      relevance = (relevance ?? 0) + (result.relevance * (keepTo - keepFrom)) / tweet.words;
    }
  });
  return { emissions, relevance, regions: null };
}
