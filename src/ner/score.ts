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

interface Count {
  right: number;
  gold: number;
  told: number;
}

/**
 * Exact matches of type and both ends, over all tweets. Whether chunks are lenient or strict is decided where labels become
 * chunks (`chunksOf`).
 *
 * @param gold of each tweet @param told of each tweet, in the same order
 */
export function scoreChunks(gold: readonly (readonly Stretch[])[], told: readonly (readonly Stretch[])[]): Scores {
  const counts = new Map<string, Count>(TYPES.map((type) => [type, { right: 0, gold: 0, told: 0 }]));
  const countOf = (type: string): Count => {
    let count = counts.get(type);
    if (!count) {
      count = { right: 0, gold: 0, told: 0 };
      counts.set(type, count);
    }
    return count;
  };
  const nameOf = ({ type, from, to }: Stretch) => `${from} ${to} ${type}`;
  gold.forEach((wanted, i) => {
    const names = new Set(wanted.map(nameOf));
    for (const { type } of wanted) countOf(type).gold++;
    for (const stretch of told[i] ?? []) {
      countOf(stretch.type).told++;
      if (names.has(nameOf(stretch))) countOf(stretch.type).right++;
    }
  });
  const micro = { right: 0, gold: 0, told: 0 };
  for (const count of counts.values()) {
    micro.right += count.right;
    micro.gold += count.gold;
    micro.told += count.told;
  }
  const by_type = Object.fromEntries([...counts].map(([type, count]) => [type, toScore(count)]));
  return { micro: toScore(micro), by_type };
}

function toScore({ right, gold, told }: Count): Score {
  return {
    precision: percent(right, told),
    recall: percent(right, gold),
    f1: percent(2 * right, gold + told),
    support: gold,
  };
}

function percent(part: number, whole: number): number {
  return whole === 0 ? 0 : Math.round((10_000 * part) / whole) / 100;
}
