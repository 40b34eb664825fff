/**
 * Where we read next in each partition, and so whether a batch that kafkajs hands us may be taken.
 *
 * Why kafkajs's own bookkeeping is not enough: with several brokers it fetches from each in a loop of its own, and one
 * loop may find that the group must be joined again (a partition was added, a leader moved) while another's fetch is under
 * way. Walk through it: committed is 50, we have been handed up to 199, a fetch of 200 hangs at broker B; the loop of
 * broker A joins again, and what we held is void, so reading must start at 50; now B answers with 200 to 299, kafkajs hands
 * that over and moves its position to 300. The records 50 to 199 would never be read again, and the next commit would
 * cover them up.
 *
 * So a batch counts only if it was fetched from the offset that we expect. After every join we ask for the committed offset
 * ourselves, and refuse every batch until it is known.
 */
export interface Positions {
  /**
   * The group gave us these partitions. Their positions are unknown until they are placed.
   *
   * @param quiet no fetch was under way, and none begins before a partition is placed
   */
  joined(partitions: readonly string[], quiet: boolean): void;
  /** Reading of this partition goes on at `offset`. */
  place(partition: string, offset: bigint): void;
  /** Judges a batch that was fetched from `offset`. `jumped` is to be taken, but what we expected is gone from the log. */
  judge(partition: string, offset: bigint): Verdict;
  /** A batch was taken; the next one is to be fetched from `next`. */
  taken(partition: string, next: bigint): void;
  /** kafkajs went over markers of transactions by itself, up to `next`. False where that may have been a stale fetch. */
  skipped(partition: string, next: bigint): boolean;
}

export type Verdict =
  | { readonly verdict: 'take' }
  | { readonly verdict: 'refuse' }
  /** Not what was expected: to be refused, and the partition read again from `offset`. */
  | { readonly verdict: 'seek'; readonly offset: bigint }
  | { readonly verdict: 'jumped'; readonly expected: bigint };

interface Position {
  /** Null: nothing may come until it is placed. */
  next: bigint | null;
  /** We have sought `next`, and no batch from there has come since. */
  sought: boolean;
  /** No fetch from before can still come back. */
  quiet: boolean;
}

export function createPositions(): Positions {
  let positions = new Map<string, Position>();
  return {
    joined(partitions, quiet) {
      positions = new Map(partitions.map((key) => [key, { next: null, sought: false, quiet }]));
    },
    place(partition, offset) {
      const position = positions.get(partition);
      if (!position) return;
      // Placed anew: what was fetched from elsewhere may still come, whatever the join was like.
      if (position.next !== null) position.quiet = false;
      Object.assign(position, { next: offset, sought: false });
    },
    judge(partition, offset) {
      const position = positions.get(partition);
      if (!position || position.next === null) return { verdict: 'refuse' };
      if (position.next === offset) return { verdict: 'take' };
      if (!position.sought) {
        position.sought = true;
        return { verdict: 'seek', offset: position.next };
      }
      // We asked for our offset and were given another again: the broker no longer has it.
      return { verdict: 'jumped', expected: position.next };
    },
    taken(partition, next) {
      const position = positions.get(partition);
      if (position) Object.assign(position, { next, sought: false });
    },
    skipped(partition, next) {
      // After a quiet join, and until it is placed anew, no batch is stale, so this is the partition's own. Otherwise it may be
      // stale: then the next batch does not fit, and we seek back, which costs one fetch.
      const position = positions.get(partition);
      if (!position?.quiet || position.next === null) return false;
      position.next = next;
      return true;
    },
  };
}
