import { createBatchQueue } from '../../inference/batch-queue.js';

/** Rows of a batch, by their place in the set. */
export type Plan = readonly (readonly number[])[];

/** In the order of their lengths: what no worker can do, since it would have to wait for all tweets. The best there is. */
export function sortedBatches(lengths: readonly number[], budget: number): Plan {
  const order = [...lengths.keys()].sort((a, b) => (lengths[a] as number) - (lengths[b] as number));
  return cut(order, lengths, budget);
}

/** In the order of their arrival. */
export function fifoBatches(lengths: readonly number[], budget: number): Plan {
  return cut([...lengths.keys()], lengths, budget);
}

export interface BucketOptions {
  readonly budget: number;
  /** Tweets that wait at every moment. */
  readonly waiting: number;
  readonly maxPadding: number;
}

/**
 * As the worker's own queue does under a load that it cannot keep up with: so many tweets wait at every moment, and each has waited
 * longer than its deadline, so that every batch begins with the oldest.
 */
export function bucketedBatches(lengths: readonly number[], { budget, waiting, maxPadding }: BucketOptions): Plan {
  const queue = createBatchQueue<number>({ budget, deadlineMs: 0, maxPadding });
  const batches: number[][] = [];
  let next = 0;
  for (;;) {
    while (queue.size < waiting && next < lengths.length) queue.add(next, lengths[next++] as number, 0);
    const batch = queue.take(0, 'idle');
    if (!batch) return batches;
    batches.push([...batch.items]);
  }
}

/** Padding ÷ all tokens. */
export function paddingOf(plan: Plan, lengths: readonly number[]): number {
  let real = 0;
  let all = 0;
  for (const batch of plan) {
    const sizes = batch.map((row) => lengths[row] as number);
    real += sizes.reduce((sum, size) => sum + size, 0);
    all += sizes.length * Math.max(...sizes);
  }
  return 1 - real / all;
}

function cut(order: readonly number[], lengths: readonly number[], budget: number): Plan {
  const batches: number[][] = [];
  let batch: number[] = [];
  let longest = 0;
  for (const row of order) {
    const width = Math.max(longest, lengths[row] as number);
    if (batch.length > 0 && (batch.length + 1) * width > budget) {
      batches.push(batch);
      batch = [];
      longest = 0;
    }
    batch.push(row);
    longest = Math.max(longest, lengths[row] as number);
  }
  if (batch.length > 0) batches.push(batch);
  return batches;
}
