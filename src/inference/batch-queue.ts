/** What a batch may be. */
export interface BatchLimits {
  /** Most pieces of a batch, padding included; only an item that is longer by itself goes beyond. */
  readonly budget: number;
  /** Longest that an item waits before its batch goes, however small, in ms. */
  readonly deadlineMs: number;
  /** Most padding that a batch may take in for the sake of more rows, as a share of its pieces. */
  readonly maxPadding: number;
}

export interface Batch<T> {
  readonly items: readonly T[];
  /** Pieces without padding. */
  readonly pieces: number;
  /** Pieces of the longest item: each row is padded to it. */
  readonly longest: number;
}

/** `idle`: nothing runs. `busy`: something runs, and one more batch may wait behind it. */
export type Demand = 'idle' | 'busy';

/**
 * Items that wait to be batched, by length: a pure state machine over arrivals and moments, with no clock of its own.
 *
 * A batch begins with the oldest item when that is due, otherwise with the length of which most wait; it takes that length in
 * order of arrival, then the neighbouring lengths for as long as budget and padding allow. An idle host gets a batch that is
 * full or due; a busy one only a full one, so that the rest goes on filling.
 */
export interface BatchQueue<T> {
  /** @param length pieces of the item @param now in ms, never less than at the call before */
  add(item: T, length: number, now: number): void;
  /** The batch to run now, or null. */
  take(now: number, demand: Demand): Batch<T> | null;
  /** Whatever waits, due or not; null when nothing does. */
  flush(): Batch<T> | null;
  /** The moment when an idle host gets a batch even if nothing more arrives; null when nothing waits. */
  dueAt(): number | null;
  readonly size: number;
}

interface Waiting<T> {
  readonly item: T;
  readonly arrived: number;
  /** Tells the older of two that arrived at the same moment. */
  readonly turn: number;
}

/** Items of one length, in order of arrival; those before `next` are gone. */
interface Bucket<T> {
  readonly length: number;
  items: Waiting<T>[];
  next: number;
}

interface Plan<T> {
  readonly shares: readonly { readonly bucket: Bucket<T>; readonly count: number }[];
  readonly pieces: number;
  readonly longest: number;
  /** Whether the budget, rather than a lack of items, is what ended it. */
  readonly full: boolean;
}

export function createBatchQueue<T>({ budget, deadlineMs, maxPadding }: BatchLimits): BatchQueue<T> {
  const buckets = new Map<number, Bucket<T>>();
  let size = 0;
  let turns = 0;
  let waitingPieces = 0;

  const count = (bucket: Bucket<T>) => bucket.items.length - bucket.next;
  const head = (bucket: Bucket<T>) => bucket.items[bucket.next] as Waiting<T>;

  const oldest = (): Bucket<T> | null => {
    let found: Bucket<T> | null = null;
    for (const bucket of buckets.values()) if (!found || head(bucket).turn < head(found).turn) found = bucket;
    return found;
  };
  const largest = (): Bucket<T> | null => {
    let found: Bucket<T> | null = null;
    for (const bucket of buckets.values()) {
      if (!found || count(bucket) * bucket.length > count(found) * found.length) found = bucket;
    }
    return found;
  };

  /** The best batch around one bucket; takes nothing yet. */
  const plan = (seed: Bucket<T>): Plan<T> => {
    const fit = Math.max(1, Math.floor(budget / seed.length));
    const taken = Math.min(count(seed), fit);
    const shares = [{ bucket: seed, count: taken }];
    let rows = taken;
    let pieces = taken * seed.length;
    let longest = seed.length;
    let full = count(seed) >= fit;
    if (full) return { shares, pieces, longest, full };
    const lengths = [...buckets.keys()].sort((a, b) => a - b);
    let below = lengths.indexOf(seed.length) - 1;
    let above = below + 2;
    while (!full) {
      const shorter = extend(buckets.get(lengths[below] ?? -1), rows, pieces, longest);
      const longer = extend(buckets.get(lengths[above] ?? -1), rows, pieces, longest);
      const best = !longer || (shorter && shorter.padding <= longer.padding) ? shorter : longer;
      if (!best || best.padding > maxPadding) break;
      shares.push({ bucket: best.bucket, count: best.count });
      rows += best.count;
      pieces += best.count * best.bucket.length;
      longest = Math.max(longest, best.bucket.length);
      full = best.count < count(best.bucket) || (rows + 1) * longest > budget;
      if (best === shorter) below--;
      else above++;
    }
    return { shares, pieces, longest, full };
  };

  const extend = (bucket: Bucket<T> | undefined, rows: number, pieces: number, longest: number) => {
    if (!bucket) return null;
    const width = Math.max(longest, bucket.length);
    const more = Math.min(count(bucket), Math.floor(budget / width) - rows);
    // A longer neighbour may leave no room for any row of its own.
    if (more <= 0) return null;
    const padding = 1 - (pieces + more * bucket.length) / ((rows + more) * width);
    return { bucket, count: more, padding };
  };

  const remove = ({ shares, pieces, longest }: Plan<T>): Batch<T> => {
    const items: T[] = [];
    for (const { bucket, count: taken } of shares) {
      for (let i = 0; i < taken; i++) items.push((bucket.items[bucket.next++] as Waiting<T>).item);
      if (bucket.next === bucket.items.length) buckets.delete(bucket.length);
      else if (bucket.next > 64 && bucket.next * 2 > bucket.items.length) {
        bucket.items = bucket.items.slice(bucket.next);
        bucket.next = 0;
      }
    }
    size -= items.length;
    waitingPieces -= pieces;
    return { items, pieces, longest };
  };

  return {
    add(item, length, now) {
      let bucket = buckets.get(length);
      if (!bucket) {
        bucket = { length, items: [], next: 0 };
        buckets.set(length, bucket);
      }
      bucket.items.push({ item, arrived: now, turn: turns++ });
      size++;
      waitingPieces += length;
    },
    take(now, demand) {
      const first = oldest();
      if (!first) return null;
      const due = now >= head(first).arrived + deadlineMs;
      // Rows of any length fill more than half of the budget before the next one finds no room: with less, nothing is full.
      if (waitingPieces < (budget / 2) * (1 - maxPadding) && !(due && demand === 'idle')) return null;
      const planned = plan(due ? first : (largest() as Bucket<T>));
      return planned.full || (due && demand === 'idle') ? remove(planned) : null;
    },
    flush() {
      const first = oldest();
      return first ? remove(plan(first)) : null;
    },
    dueAt() {
      const first = oldest();
      return first ? head(first).arrived + deadlineMs : null;
    },
    get size() {
      return size;
    },
  };
}
