/** A typed stretch of words, or of characters: what a prediction is held against. */
export interface Stretch {
  readonly type: string;
  readonly from: number;
  readonly to: number;
}

/** In per cent; `support` counts the gold ones. */
export interface Score {
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
  readonly support: number;
}

export interface Scores {
  readonly micro: Score;
  readonly by_type: Readonly<Record<string, Score>>;
}

export const TYPES = ['PER', 'LOC', 'ORG', 'MISC'] as const;

/** Exact matches of type and both ends. */
export interface Count {
  right: number;
  gold: number;
  told: number;
}

/** The counts of one tweet, by type; a type that stands nowhere in it is not there. */
export type TweetCounts = ReadonlyMap<string, Readonly<Count>>;

/**
 * Over all tweets. Whether chunks are lenient or strict is decided where labels become chunks (`chunksOf`).
 *
 * @param gold of each tweet @param told of each tweet, in the same order
 */
export function scoreChunks(gold: readonly (readonly Stretch[])[], told: readonly (readonly Stretch[])[]): Scores {
  return scoreCounts(gold.map((wanted, i) => countChunks(wanted, told[i] ?? [])));
}

export function countChunks(gold: readonly Stretch[], told: readonly Stretch[]): TweetCounts {
  const counts = new Map<string, Count>();
  const names = new Set(gold.map(nameOf));
  for (const { type } of gold) countOf(counts, type).gold++;
  for (const stretch of told) {
    const count = countOf(counts, stretch.type);
    count.told++;
    if (names.has(nameOf(stretch))) count.right++;
  }
  return counts;
}

export function scoreCounts(tweets: readonly TweetCounts[]): Scores {
  const counts = new Map<string, Count>(TYPES.map((type) => [type, { right: 0, gold: 0, told: 0 }]));
  const micro = { right: 0, gold: 0, told: 0 };
  for (const tweet of tweets) {
    for (const [type, count] of tweet) {
      add(countOf(counts, type), count);
      add(micro, count);
    }
  }
  const by_type = Object.fromEntries([...counts].map(([type, count]) => [type, toScore(count)]));
  return { micro: toScore(micro), by_type };
}

/** What makes two stretches of one tweet the same. */
export function nameOf({ type, from, to }: Stretch): string {
  return `${from} ${to} ${type}`;
}

export function toScore({ right, gold, told }: Count): Score {
  return {
    precision: percent(right, told),
    recall: percent(right, gold),
    f1: percent(2 * right, gold + told),
    support: gold,
  };
}

/** @returns a share in per cent, with two decimals; 0 of nothing */
export function percent(part: number, whole: number): number {
  return whole === 0 ? 0 : Math.round((10_000 * part) / whole) / 100;
}

function add(sum: Count, { right, gold, told }: Readonly<Count>): void {
  sum.right += right;
  sum.gold += gold;
  sum.told += told;
}

function countOf(counts: Map<string, Count>, type: string): Count {
  let count = counts.get(type);
  if (!count) {
    count = { right: 0, gold: 0, told: 0 };
    counts.set(type, count);
  }
  return count;
}
