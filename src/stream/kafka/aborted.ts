/** A record as kafkajs has decoded it, control records among them. */
export interface RawRecord {
  readonly offset: string;
  readonly key: Buffer | null;
  readonly isControlRecord: boolean;
  /** Undefined for records of the formats before 2017, which know no transactions. */
  readonly batchContext?: { readonly producerId: string; readonly inTransaction: boolean };
}

/** What a broker says of a transaction that ends within or after what was fetched, and was aborted. */
export interface AbortedTransaction {
  readonly producerId: string;
  readonly firstOffset: string;
}

/** Key of the control record that ends an aborted transaction: version 0, type 0. A commit has type 1. */
const ABORT = Buffer.from([0, 0, 0, 0]);

/**
 * Leaves out the records of aborted transactions. From an aborted transaction's first offset on, all that its producer wrote within
 * transactions is void, up to the control record that ends it.
 *
 * It stands in the place of kafkajs's own (`kafkajs.ts`), which lets aborted records through where transactions of several
 * producers interleave in one partition: brokers list them in the order of their ends, and it waits for the first offset of each
 * before it looks at the next. Say A writes at 0, B at 1, B aborts at 2, A at 3: the list is B (from 1), A (from 0); at 0 it looks at
 * B alone, and A's record passes. And it takes up one transaction for each record, so that a fetch from 2 on, in the middle of
 * both, lets a record of the second pass.
 */
export function withoutAborted<T extends RawRecord>(
  records: readonly T[],
  transactions: readonly AbortedTransaction[] | null | undefined,
): readonly T[] {
  if (!transactions || transactions.length === 0) return records;
  const begun = transactions
    .map(({ producerId, firstOffset }) => ({ producerId, first: BigInt(firstOffset) }))
    .sort((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0));
  const aborted = new Set<string>();
  let next = 0;
  return records.filter(({ offset, key, isControlRecord, batchContext }) => {
    for (let one = begun[next]; one && one.first <= BigInt(offset); one = begun[++next]) aborted.add(one.producerId);
    if (!batchContext) return true;
    const { producerId, inTransaction } = batchContext;
    if (!isControlRecord) return !(inTransaction && aborted.has(producerId));
    if (key?.equals(ABORT)) aborted.delete(producerId);
    return true; // kafkajs counts control records by itself, and then leaves them out.
  });
}
