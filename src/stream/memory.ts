import { type Clock, systemClock } from '../clock.js';
import { MnerError } from '../errors.js';
import { type Emit, silent } from '../telemetry/events.js';
import { recordBytes } from './headers.js';
import { createGroup, type MemoryGroup } from './memory-group.js';
import { createTransactions, type TransactionWire } from './memory-transactions.js';
import type {
  Broker,
  Consumer,
  Headers,
  InputRecord,
  OutputRecord,
  Producer,
  TopicPartition,
  TransactionalProducer,
} from './port.js';

export interface MemoryBrokerOptions {
  /** Gives records their timestamps. @default systemClock */
  readonly clock?: Clock;
  readonly emit?: Emit;
  /** The largest batch that a topic takes, in bytes, as `max.message.bytes` does. @default 1048588 */
  readonly maxMessageBytes?: number;
  /** Called before each write and commit; what it throws is what the caller gets, and what it awaits delays it: the network. */
  readonly wire?: {
    readonly send?: (to: TopicPartition, records: readonly OutputRecord[]) => void | Promise<void>;
    readonly commit?: (group: string) => void | Promise<void>;
    readonly rewind?: (group: string) => void | Promise<void>;
    readonly transaction?: TransactionWire;
  };
}

/** A record to put into a topic of the in-memory broker; its partition is the first one unless set. */
export interface Appended {
  readonly partition?: number;
  readonly key?: Buffer | null;
  readonly value: Buffer | null;
  readonly headers?: Headers;
  /** @default the clock's wall time */
  readonly timestamp?: number;
}

/** A broker that lives in this process, whose readers all read what is committed only: for `mner extract`, and for tests that need no real one. */
export interface MemoryBroker extends Broker {
  /** Writes records as any producer would. Returns the offset of the last one. @throws MnerError `topic_missing` */
  append(topic: string, ...records: readonly Appended[]): bigint;
  /** All records of a topic that are still there, by partition and offset. @throws MnerError `topic_missing` */
  read(topic: string, partition?: number): readonly InputRecord[];
  /** Lets go of records below `before`, as retention does. Their offsets are gone for good. */
  trim(topic: string, partition: number, before: bigint): void;
  /** Leaves out the next `count` offsets, as compaction and the markers of transactions do. */
  skip(topic: string, partition: number, count: number): void;
  /** Makes it a compacted topic: it takes no record without a key. */
  compact(topic: string): void;
  /** Calls back after every write to the topic, until the returned function is called. */
  onAppend(topic: string, callback: (records: readonly InputRecord[]) => void): () => void;
}

/** One partition's log. Offsets in it rise, with gaps. */
export interface MemoryLog extends TopicPartition {
  records: InputRecord[];
  start: bigint;
  end: bigint;
}

export function memoryBroker(options: MemoryBrokerOptions = {}): MemoryBroker {
  const { clock = systemClock, emit = silent, maxMessageBytes = 1_048_588, wire = {} } = options;
  const topics = new Map<string, MemoryLog[]>();
  const groups = new Map<string, MemoryGroup>();
  const listeners = new Map<string, Set<(records: readonly InputRecord[]) => void>>();
  const compacted = new Set<string>();
  const open = new Set<Consumer | Producer | TransactionalProducer>();

  const logs = (topic: string): readonly MemoryLog[] => {
    const found = topics.get(topic);
    if (!found) throw new MnerError('topic_missing', `The topic ${topic} does not exist.`);
    return found;
  };

  const log = (topic: string, partition: number): MemoryLog => {
    const found = logs(topic)[partition];
    if (!found) throw new MnerError('topic_missing', `The topic ${topic} has no partition ${partition}.`);
    return found;
  };

  const group = (name: string): MemoryGroup => {
    const found =
      groups.get(name) ??
      createGroup(
        topics,
        () => wire.commit?.(name),
        () => wire.rewind?.(name),
        emit,
      );
    groups.set(name, found);
    return found;
  };

  const write = (to: MemoryLog, records: readonly Appended[]): bigint => {
    const written = records.map((record): InputRecord => {
      const { key = null, value, headers = [], timestamp = clock.wall() } = record;
      const { topic, partition } = to;
      return { topic, partition, offset: to.end++, key, value, headers, timestamp };
    });
    to.records.push(...written);
    for (const one of groups.values()) one.wake();
    for (const callback of listeners.get(to.topic) ?? []) callback(written);
    return to.end - 1n;
  };

  /** What a broker checks before it takes a batch. */
  const accept = async (to: TopicPartition, records: readonly OutputRecord[]): Promise<MemoryLog> => {
    await wire.send?.(to, records);
    const target = log(to.topic, to.partition);
    const bytes = records.reduce((sum, record) => sum + recordBytes(record), 0);
    if (bytes > maxMessageBytes)
      throw new MnerError('output_too_large', `${to.topic} takes ${maxMessageBytes} bytes at once, not ${bytes}.`);
    if (compacted.has(to.topic) && records.some(({ key }) => key === null))
      throw new MnerError('output_refused', `${to.topic} is compacted and takes no record without a key.`);
    return target;
  };

  const transactions = createTransactions({
    wire: wire.transaction ?? {},
    accept,
    finish(batches, commits) {
      for (const { to, records, committed } of batches) {
        if (committed) write(to, records);
        // The marker of the transaction, and what it left behind, take offsets too.
        to.end += committed ? 1n : BigInt(records.length) + 1n;
      }
      for (const { group: name, offsets } of commits) group(name).commit(offsets);
    },
  });

  const send = async (to: TopicPartition, records: readonly OutputRecord[]): Promise<void> => {
    const target = await accept(to, records);
    if (records.length > 0) write(target, records);
    // An acknowledgement crosses a network: whoever writes in a loop lets others have their turn.
    await new Promise((resolve) => setImmediate(resolve));
  };

  return {
    connect: async () => {},
    partitions: async (names) =>
      new Map(names.flatMap((name) => (topics.has(name) ? [[name, logs(name).length] as const] : []))),
    async createTopics(wanted) {
      const missing = wanted.filter(({ topic }) => !topics.has(topic));
      for (const { topic, partitions } of missing) {
        const fresh = Array.from({ length: partitions }, (_, partition) => ({
          topic,
          partition,
          records: [],
          start: 0n,
          end: 0n,
        }));
        topics.set(topic, fresh);
      }
      return missing.map(({ topic }) => topic);
    },
    offsets: async (topic, name) =>
      logs(topic).map(({ partition, start, end }) => ({
        partition,
        start,
        end,
        ...group(name).committed({ topic, partition }),
      })),
    consumer(consumerOptions) {
      const consumer = group(consumerOptions.group).member(consumerOptions);
      open.add(consumer);
      return consumer;
    },
    async producer() {
      let stopped = false;
      const producer: Producer = {
        async send(to, records) {
          if (stopped) throw new MnerError('broker_unavailable', 'The producer has stopped.');
          await send(to, records);
        },
        async stop() {
          stopped = true;
        },
      };
      open.add(producer);
      return producer;
    },
    async transactions(transactionsOptions) {
      const producer = await transactions(transactionsOptions, () => open.delete(producer));
      open.add(producer);
      return producer;
    },
    async close() {
      await Promise.all([...open].map((one) => one.stop()));
    },
    append(topic, ...records) {
      let last = -1n;
      for (const record of records) last = write(log(topic, record.partition ?? 0), [record]);
      return last;
    },
    read: (topic, partition) =>
      logs(topic)
        .filter((one) => partition === undefined || one.partition === partition)
        .flatMap(({ records }) => records),
    trim(topic, partition, before) {
      const held = log(topic, partition);
      held.records = held.records.filter(({ offset }) => offset >= before);
      if (before > held.start) held.start = held.records[0]?.offset ?? held.end;
    },
    skip(topic, partition, count) {
      log(topic, partition).end += BigInt(count);
    },
    compact: (topic) => void compacted.add(topic),
    onAppend(topic, callback) {
      const set = listeners.get(topic) ?? new Set();
      listeners.set(topic, set.add(callback));
      return () => set.delete(callback);
    },
  };
}
