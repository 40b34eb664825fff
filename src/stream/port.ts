import type { MnerError } from '../errors.js';

/** Record headers in their order; a name may repeat. */
export type Headers = readonly (readonly [name: string, value: Buffer])[];

export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

/** A record as it was read. */
export interface InputRecord extends TopicPartition {
  readonly offset: bigint;
  readonly key: Buffer | null;
  /** Null for a tombstone. */
  readonly value: Buffer | null;
  readonly headers: Headers;
  /** Milliseconds since 1970, as the broker has it. */
  readonly timestamp: number;
}

/** A record to write; its partition is always set by us, never by a partitioner. */
export interface OutputRecord {
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Headers;
}

/** The next offset to read of a partition: one past the last record whose outcome is acknowledged. */
export interface CommitOffset extends TopicPartition {
  readonly offset: bigint;
  /** What is kept with the offset; a broker takes 4096 bytes of it by default. Only `sendOffsets` passes it on. */
  readonly metadata?: string;
}

/** The ends of a partition, and how far a group came in it. */
export interface GroupOffset {
  readonly partition: number;
  /** The oldest offset that is still there. */
  readonly start: bigint;
  /** The next offset to be written; with a transaction open, where it began. */
  readonly end: bigint;
  /** Null: nothing was committed. */
  readonly committed: bigint | null;
  /** What the group keeps with its offset; empty where it keeps nothing. */
  readonly metadata: string;
}

/**
 * The port to a log with partitions, offsets and consumer groups. Adapters: `kafka/` (kafkajs) and `memory.ts`; both
 * pass test/stream/broker-conformance.ts.
 */
export interface Broker {
  /** Checks that a broker answers. @throws MnerError `broker_unreachable`, `tls_failed`, `authentication_failed` */
  connect(): Promise<void>;
  /**
   * Names of the existing topics among `names`, with their number of partitions.
   * @throws MnerError `not_authorised` for one that this user may not see, be it there or not
   */
  partitions(names: readonly string[]): Promise<ReadonlyMap<string, number>>;
  /** Creates what is missing; leaves what exists. Returns the names that it created. */
  createTopics(topics: readonly { topic: string; partitions: number; replicas?: number }[]): Promise<string[]>;
  /** Start, end and committed offset of each partition, for lag and for what is read to its end. */
  offsets(topic: string, group: string): Promise<readonly GroupOffset[]>;
  consumer(options: ConsumerOptions): Consumer;
  producer(): Promise<Producer>;
  /** A producer of transactions; it fences nobody before its first `begin`. @throws MnerError `broker_unavailable`, `authentication_failed` */
  transactions(options: TransactionsOptions): Promise<TransactionalProducer>;
  /** Closes everything that was opened from this broker. Safe to call twice. */
  close(): Promise<void>;
}

export interface ConsumerOptions {
  readonly topics: readonly string[];
  readonly group: string;
  /** Where a group without a committed offset begins. @default 'earliest' */
  readonly from?: 'earliest' | 'latest';
  /**
   * Where a partition is read on whose next offset the log does not have: retention was faster than we, or the log was made anew.
   * `fail` ends the consumer by `offset_out_of_range`. Each time is told as `offset_reset`. @default 'earliest'
   */
  readonly outOfRange?: OutOfRange;
  /** @default 30000 */
  readonly sessionTimeoutMs?: number;
  /** Bytes fetched at once from one partition. @default 1048576 */
  readonly maxBytesPerPartition?: number;
}

export type OutOfRange = 'earliest' | 'latest' | 'fail';

export interface ConsumerHandlers {
  /** The group has given us these partitions, and only these; whatever we held before is void. May be empty. */
  assigned(partitions: readonly TopicPartition[]): void;
  /** A rebalance began: nothing may be committed until `assigned` comes again. */
  revoked(): void;
  /**
   * Records of one partition, in order. The consumer fetches the next ones once this resolves, so it must resolve
   * quickly: it hands over, it does not wait for outcomes. Offsets rise, with gaps where the log has them; they start
   * again lower only when the log itself was cut or made anew.
   *
   * @param end the partition's end offset when these were fetched, for lag
   */
  records(records: readonly InputRecord[], end: bigint): Promise<void>;
  /**
   * Reading came to `next`: all before it was handed over, or is nothing that is (markers of transactions, and what was
   * aborted). For whoever reads a partition to its end, where the last offsets may be such.
   */
  reached?(partition: TopicPartition, next: bigint): void;
  /** The consumer stopped for good and cannot go on. */
  failed(error: MnerError): void;
}

export interface Consumer {
  /** Joins the group; resolves when the first assignment has come, or at once after `stop`. @throws MnerError `topic_missing` and the wire's codes */
  start(handlers: ConsumerHandlers): Promise<void>;
  /**
   * Whether we are a member of the group, and its coordinator has answered within the session's time-out: after that it takes us for
   * dead and gives our partitions away, though we may not have heard of it.
   */
  inTouch(): boolean;
  pause(partitions: readonly TopicPartition[]): void;
  resume(partitions: readonly TopicPartition[]): void;
  /** @throws MnerError `broker_unavailable` when the commit did not happen, or may not have */
  commit(offsets: readonly CommitOffset[]): Promise<void>;
  /**
   * Reads the group's committed offset of a partition afresh, and goes on from there: what `records` hands over next begins
   * at it. Without one it begins where `from` says. The caller pauses the partition before, so that nothing is on its way.
   *
   * @throws MnerError `broker_unavailable`, also when the group is joined anew meanwhile; then nothing was sought
   */
  rewind(partition: TopicPartition): Promise<Place>;
  /** Leaves the group. Safe to call twice, and before `start`. */
  stop(): Promise<void>;
}

export interface Producer {
  /**
   * Writes records to one partition in this order; resolves when all in-sync replicas have them. They travel as one
   * batch: all are written or none. The broker's limit counts the batch, so `output_too_large` names one record only
   * where one was sent; so it is with `output_refused`.
   * @throws MnerError `output_too_large`, `output_refused`, `topic_missing`, `not_authorised`, `broker_unavailable`
   */
  send(to: TopicPartition, records: readonly OutputRecord[]): Promise<void>;
  stop(): Promise<void>;
}

/** Where reading of a partition goes on. */
export interface Place {
  readonly offset: bigint;
  /** False where the group has committed nothing yet. */
  readonly committed: boolean;
}

export interface TransactionsOptions {
  /** The transactional id: of all producers with one id only the one that began last may write. */
  readonly id: string;
  /** After this long without an end the broker aborts a transaction by itself, in milliseconds. */
  readonly timeoutMs: number;
}

/**
 * A producer whose records, and the offsets that go with them, are seen by readers together or not at all. One transaction
 * at a time, one call at a time. After a `begin`, `commit` or `abort` that failed it is of no use any more: stop it and open
 * another one. Every method throws `producer_fenced` once another producer with the same id has begun.
 */
export interface TransactionalProducer {
  /**
   * Begins a transaction. The first time it fences all older producers with this id, and resolves only when what they left
   * open is aborted, or committed if they were committing: only then does the committed offset hold still.
   *
   * @throws MnerError `broker_unavailable`, `not_authorised`; the first `begin` may be tried again
   */
  begin(): Promise<void>;
  /** As {@link Producer.send}, within the transaction. After `output_too_large` and `output_refused` the
   * transaction goes on without these. */
  send(to: TopicPartition, records: readonly OutputRecord[]): Promise<void>;
  /** Commits a group's offsets with the transaction. Nobody checks that the group has given us the partitions. */
  sendOffsets(group: string, offsets: readonly CommitOffset[]): Promise<void>;
  /** @throws MnerError `broker_unavailable` when it is not committed, or may be: nobody knows */
  commit(): Promise<void>;
  abort(): Promise<void>;
  /** Safe to call twice. A transaction that is open stays so until it is fenced or its time is over. */
  stop(): Promise<void>;
}
