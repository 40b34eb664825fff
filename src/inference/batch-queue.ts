/** What a batch may be. */
export interface BatchLimits {
  /** Most pieces of a batch, padding included; only an item that is longer by itself goes beyond. */
  readonly budget: number;
  /** Longest that an item waits before its batch goes, however small, in ms. */
  readonly deadlineMs: number;
  /** Most padding that a batch may take in for the sake of more rows, as a share of its pieces. */
  readonly maxPadding: number;
  /** By so much later than it came an item of a replay counts among the live ones, in ms. @default 0 */
  readonly patienceMs?: number;
}

/** `live` goes first; `replay` takes what is left, and never starves. */
export type Priority = 'live' | 'replay';

export interface Batch<T> {
  readonly items: readonly T[];
  /** Pieces without padding. */
  readonly pieces: number;
  /** Pieces of the longest item: each row is padded to it. */
  readonly longest: number;
}

/** `idle`: a process has nothing to run. `busy`: all have, and another batch may wait behind one. */
export type Demand = 'idle' | 'busy';

/**
 * Items that wait to be batched, by class and length: a pure state machine over arrivals and moments, with no clock of its own.
 *
 * **When a batch goes.** An idle host gets one that is full, or as soon as any item has waited for its deadline; a busy one only a full
 * one, so that the rest goes on filling. Where the batch that is overdue is not full and another length would be, the busy host gets the overdue
 * one as it is: it has work for longer than a rare length takes to fill, and would run dry between the two.
 *
 * **What it begins with.** Every item has a *turn*: the moment of its arrival, for a replay `patienceMs` later. Once the item whose turn
 * is first has waited for its deadline from then on, every batch begins with it. Otherwise live items come before those of a replay, and among
 * them the length of which most wait. So a replay takes what the live stream leaves, but an item of it waits no longer than a
 * live one that came `patienceMs` after it: nobody starves.
 *
 * **How late.** An item whose deadline has passed waits for the batches that are out (of each process two: one runs, one waits behind it) and for
 * those that begin with an earlier turn. Of items of one length, at a load that the host can carry, that is at most one batch, of one process. Where
 * lengths are mixed it may be somewhat more, since a batch with an earlier turn takes in later items of neighbouring lengths; where the load
 * is beyond the host, what waits grows, and no bound holds but that the order of turns decides.
 *
 * **What else is in it.** The same length in order of arrival, then the neighbouring lengths for as long as budget and padding allow:
 * first live items, then those of a replay.
 */
export interface BatchQueue<T> {
  /** @param length pieces of the item @param now in ms, never less than at the call before @param priority @default 'live' */
  add(item: T, length: number, now: number, priority?: Priority): void;
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
  /** When its turn is, in ms. */
  readonly turn: number;
  /** Tells the earlier of two with the same turn. */
  readonly order: number;
}

/** Items of one class and length, in order of arrival; those before `next` are gone. */
interface Bucket<T> {
  readonly length: number;
  items: Waiting<T>[];
  next: number;
}

/** The items of one class. */
interface Shelf<T> {
  readonly buckets: Map<number, Bucket<T>>;
  /** The keys of `buckets`, in rising order. */
  readonly lengths: number[];
}

interface Plan<T> {
  readonly shares: { readonly bucket: Bucket<T>; readonly count: number }[];
  rows: number;
  pieces: number;
  longest: number;
  /** Whether the budget, rather than a lack of items, is what ended it. */
  full: boolean;
}

export function createBatchQueue<T>({ budget, deadlineMs, maxPadding, patienceMs = 0 }: BatchLimits): BatchQueue<T> {
  const live: Shelf<T> = { buckets: new Map(), lengths: [] };
  const replay: Shelf<T> = { buckets: new Map(), lengths: [] };
  let size = 0;
  let arrivals = 0;
  let waitingPieces = 0;

  const extend = (plan: Plan<T>, bucket: Bucket<T> | undefined, seed: Bucket<T>) => {
    if (!bucket) return null;
    const waiting = count(bucket) - (bucket === seed ? (plan.shares[0]?.count ?? 0) : 0);
    const width = Math.max(plan.longest, bucket.length);
    const more = Math.min(waiting, Math.floor(budget / width) - plan.rows);
    // A longer neighbour may leave no room for any row of its own.
    if (more <= 0) return null;
    const padding = 1 - (plan.pieces + more * bucket.length) / ((plan.rows + more) * width);
    return { bucket, count: more, padding, rest: waiting - more };
  };

  /** Fills a plan up from one class, beginning with the lengths next to the seed's. */
  const fill = (plan: Plan<T>, { buckets, lengths }: Shelf<T>, seed: Bucket<T>): void => {
    let above = placeOf(lengths, seed.length);
    let below = above - 1;
    // Of the seed's own bucket the plan may have all already.
    if (lengths[above] === seed.length && !extend(plan, buckets.get(seed.length), seed)) above++;
    while (!plan.full) {
      const shorter = extend(plan, buckets.get(lengths[below] ?? -1), seed);
      const longer = extend(plan, buckets.get(lengths[above] ?? -1), seed);
      const best = !longer || (shorter && shorter.padding <= longer.padding) ? shorter : longer;
      if (!best || best.padding > maxPadding) return;
      plan.shares.push({ bucket: best.bucket, count: best.count });
      plan.rows += best.count;
      plan.pieces += best.count * best.bucket.length;
      plan.longest = Math.max(plan.longest, best.bucket.length);
      plan.full = best.rest > 0 || (plan.rows + 1) * plan.longest > budget;
      if (best === shorter) below--;
      else above++;
    }
  };

  /** The best batch around one bucket; takes nothing yet. @param most of the bucket's own items, before any live one */
  const planOf = (seed: Bucket<T>, most = Number.POSITIVE_INFINITY): Plan<T> => {
    const fit = Math.max(1, Math.floor(budget / seed.length));
    const rows = Math.min(count(seed), fit, most);
    const plan: Plan<T> = {
      shares: [{ bucket: seed, count: rows }],
      rows,
      pieces: rows * seed.length,
      longest: seed.length,
      full: rows === fit,
    };
    fill(plan, live, seed);
    fill(plan, replay, seed);
    return plan;
  };

  /** The batch that begins with the item whose turn is first. */
  const planFirst = (now: number): Plan<T> | null => {
    const first = earlier(oldest(live), oldest(replay));
    if (!first) return null;
    // Of a replay only those go before the live items whose turn has come too.
    return replay.buckets.get(first.length) === first && live.lengths.length > 0
      ? planOf(first, ripe(first, now))
      : planOf(first);
  };

  const remove = ({ shares, pieces, longest }: Plan<T>): Batch<T> => {
    const items: T[] = [];
    for (const { bucket, count: taken } of shares) {
      for (let i = 0; i < taken; i++) items.push((bucket.items[bucket.next++] as Waiting<T>).item);
      if (bucket.next === bucket.items.length) drop(live.buckets.get(bucket.length) === bucket ? live : replay, bucket);
      else if (bucket.next > 64 && bucket.next * 2 > bucket.items.length) {
        bucket.items = bucket.items.slice(bucket.next);
        bucket.next = 0;
      }
    }
    size -= items.length;
    waitingPieces -= pieces;
    return { items, pieces, longest };
  };

  const dueAt = (): number | null => {
    const [ofLive, ofReplay] = [oldest(live), oldest(replay)];
    if (!ofLive && !ofReplay) return null;
    const moments = [ofLive && head(ofLive).turn, ofReplay && head(ofReplay).turn - patienceMs];
    return Math.min(...moments.filter((moment) => moment !== null)) + deadlineMs;
  };

  return {
    add(item, length, now, priority = 'live') {
      const { buckets, lengths } = priority === 'live' ? live : replay;
      let bucket = buckets.get(length);
      if (!bucket) {
        bucket = { length, items: [], next: 0 };
        buckets.set(length, bucket);
        lengths.splice(placeOf(lengths, length), 0, length);
      }
      bucket.items.push({ item, turn: priority === 'live' ? now : now + patienceMs, order: arrivals++ });
      size++;
      waitingPieces += length;
    },
    take(now, demand) {
      const due = dueAt();
      if (due === null) return null;
      const goes = demand === 'idle' && now >= due;
      // Rows of any length fill more than half of the budget before the next one finds no room: with less, nothing is full.
      if (!goes && waitingPieces < (budget / 2) * (1 - maxPadding)) return null;
      const first = earlier(oldest(live), oldest(replay)) as Bucket<T>;
      const overdue = now >= head(first).turn + deadlineMs;
      const planned =
        overdue || (goes && live.lengths.length === 0)
          ? (planFirst(now) as Plan<T>)
          : planOf((goes ? oldest(live) : (largest(live) ?? largest(replay))) as Bucket<T>);
      if (planned.full || goes) return remove(planned);
      return overdue && planOf((largest(live) ?? largest(replay)) as Bucket<T>).full ? remove(planned) : null;
    },
    flush() {
      const planned = planFirst(Number.POSITIVE_INFINITY);
      return planned && remove(planned);
    },
    dueAt,
    get size() {
      return size;
    },
  };
}

function count<T>(bucket: Bucket<T>): number {
  return bucket.items.length - bucket.next;
}

function head<T>(bucket: Bucket<T>): Waiting<T> {
  return bucket.items[bucket.next] as Waiting<T>;
}

/** Which of two buckets has the head whose turn is earlier. */
function earlier<T>(a: Bucket<T> | null, b: Bucket<T> | null): Bucket<T> | null {
  if (!a || !b) return a ?? b;
  const [first, second] = [head(a), head(b)];
  return first.turn < second.turn || (first.turn === second.turn && first.order < second.order) ? a : b;
}

function oldest<T>({ buckets }: Shelf<T>): Bucket<T> | null {
  let found: Bucket<T> | null = null;
  for (const bucket of buckets.values()) found = earlier(found, bucket);
  return found;
}

function largest<T>({ buckets }: Shelf<T>): Bucket<T> | null {
  let found: Bucket<T> | null = null;
  for (const bucket of buckets.values()) {
    if (!found || count(bucket) * bucket.length > count(found) * found.length) found = bucket;
  }
  return found;
}

/** How many items of a bucket have their turn by now. */
function ripe<T>({ items, next }: Bucket<T>, now: number): number {
  let end = next;
  while (end < items.length && (items[end] as Waiting<T>).turn <= now) end++;
  return Math.max(1, end - next);
}

function drop<T>({ buckets, lengths }: Shelf<T>, { length }: Bucket<T>): void {
  buckets.delete(length);
  lengths.splice(placeOf(lengths, length), 1);
}

/** The place of the first length that is not less than this one. */
function placeOf(lengths: readonly number[], length: number): number {
  let low = 0;
  let high = lengths.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((lengths[middle] as number) < length) low = middle + 1;
    else high = middle;
  }
  return low;
}
