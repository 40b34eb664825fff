import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Admin } from 'kafkajs';
import { expect } from 'vitest';
import { provideTool } from '#mner/local/tools.js';
import { Kafka, logLevel } from '#mner/stream/kafka/kafkajs.js';
import type { Broker, Consumer, InputRecord, OutputRecord } from '#mner/stream/port.js';
import { type Inbox, inbox } from '../stream/inbox.js';
import { freshName, freshStream } from '../stream/names.js';
import type { DeliveryMode } from './member.js';

export interface LedgerOptions {
  /** Without faults. */
  readonly broker: Broker;
  readonly brokers: readonly string[];
  readonly partitions: number;
  /** Of the input as long as it has not grown. @default all of them */
  readonly partitionsAtFirst?: number;
  /** @default 1 */
  readonly replicas?: number;
  /** The input record of an id. @default its value is the id */
  readonly record?: (id: string) => OutputRecord;
  /** The id of an output, or of a dead letter (which has the input's bytes). @default its value is the id */
  readonly idOf?: (value: string) => string;
}

/**
 * The oracle: what was put in, and what has come out. Ids are `partition:number`, numbers from 0 in each partition, so the number is
 * the input offset as well.
 */
export interface Ledger {
  readonly input: string;
  readonly output: string;
  readonly dead: string;
  readonly group: string;
  /** Ids in each partition so far. */
  readonly fed: number;
  /** Ids with an outcome that a reader of committed records has seen. */
  readonly seen: number;
  /** Puts that many further ids into each partition. Only while the brokers are well, or it could count one twice. */
  feed(each: number): Promise<void>;
  /** Feeds until it is told to stop, so that one to two times that many ids of each partition wait for their outcomes. */
  load(each: number, signal: AbortSignal): Promise<void>;
  /** Puts ids into one partition as the others. */
  feedOne(partition: number, count: number): Promise<void>;
  /** Adds the input's missing partitions, and puts a first id into each. */
  grow(): Promise<void>;
  /**
   * Cuts the log of a partition before this number, as retention does. Ids without an outcome that are gone with it must not have one
   * any more; gives how many they are. Only while no worker reads them.
   */
  cut(partition: number, before: number): Promise<number>;
  /** Waits until each partition has that many further ids out, or all that were fed. */
  progress(each: number): Promise<void>;
  /** Waits until every id is out. */
  all(): Promise<void>;
  /** Waits until no open transaction hides what has been written to this partition: by a probe behind it, which is no outcome. */
  settled(topic: string, partition: number): Promise<void>;
  /** Outcomes that are visible now, in the order in which they were seen. */
  outcomes(): readonly Outcome[];
  /**
   * Checks that nothing was committed without an outcome, now, in the midst of whatever happens. For at least once and exactly once.
   */
  nothingCommittedUnprocessed(): Promise<void>;
  /**
   * Puts a fresh canary through every partition, then reads all that came out, with kcat and by ourselves, and holds it against what
   * was put in. Workers must be running.
   */
  verify(delivery: DeliveryMode): Promise<Verdict>;
  stop(): Promise<void>;
}

export interface Outcome {
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint;
  readonly id: string;
  readonly record: InputRecord;
}

export interface Verdict {
  readonly ids: number;
  /** Outcomes beyond the first of an id; always 0 with exactly once. */
  readonly doubled: number;
  /** In a few words. */
  readonly text: string;
}

export async function createLedger(options: LedgerOptions): Promise<Ledger> {
  const { broker, brokers, partitions, partitionsAtFirst = partitions, replicas = 1 } = options;
  const { record = plain, idOf = (value: string) => value } = options;
  const { input, output, dead, group } = freshStream();
  await broker.createTopics([
    { topic: input, partitions: partitionsAtFirst, replicas },
    ...[output, dead].map((topic) => ({ topic, partitions, replicas })),
  ]);
  let producer = await broker.producer();
  const fed = Array.from({ length: partitions }, () => 0);
  const sum = (counts: readonly number[]) => counts.reduce((all, one) => all + one, 0);

  const watch = inbox();
  // When all brokers die it joins anew, and the group waits for what it was before.
  const watcher: Consumer = broker.consumer({
    topics: [output, dead],
    group: freshName('watch'),
    sessionTimeoutMs: 6_000,
  });
  await watcher.start(watch);
  const outcomes: Outcome[] = [];
  /** The watcher commits nothing, and reads again after a rejoin. */
  const places = new Set<string>();
  const probes = new Set<string>();
  const ids = Array.from({ length: partitions }, () => new Set<string>());
  let read = 0;
  const look = ({ records }: Inbox = watch): readonly number[] => {
    for (; read < records.all.length; read += 1) {
      const one = records.all[read] as InputRecord;
      const { topic, partition, offset } = one;
      const place = `${topic}/${partition}/${offset}`;
      if (places.has(place)) continue;
      places.add(place);
      if (String(one.value).startsWith(PROBE)) {
        probes.add(String(one.value));
        continue;
      }
      const id = idOf(String(one.value));
      outcomes.push({ topic, partition, offset, id, record: one });
      ids[Number(id.split(':')[0])]?.add(id);
    }
    return ids.map(({ size }) => size);
  };

  const feedOne = async (partition: number, count: number): Promise<void> => {
    const from = fed[partition] as number;
    const records = Array.from({ length: count }, (_, i) => record(`${partition}:${from + i}`));
    for (let at = 0; at < records.length; at += 500)
      await producer.send({ topic: input, partition }, records.slice(at, at + 500));
    fed[partition] = from + count;
  };
  const feed = async (each: number): Promise<void> => {
    for (let partition = 0; partition < partitions; partition += 1) await feedOne(partition, each);
  };
  const load = async (each: number, signal: AbortSignal): Promise<void> => {
    const stopped = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    while (!signal.aborted) {
      await feed(each);
      await Promise.race([watch.until((box) => sum(look(box)) >= sum(fed) - each * partitions), stopped]);
    }
  };
  /** Ids that were cut away. */
  const gone = new Set<string>();
  const goneOf = (partition: number) => [...gone].filter((id) => id.startsWith(`${partition}:`)).length;
  const all = (): Promise<void> =>
    watch.until((box) => look(box).every((now, i) => now >= (fed[i] as number) - goneOf(i)));
  const asAdmin = async (act: (admin: Admin) => Promise<unknown>): Promise<void> => {
    const admin = new Kafka({ brokers: [...brokers], logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    await act(admin).finally(() => admin.disconnect());
  };

  const withKcat = async () =>
    (await readWithKcat(brokers, [output, dead])).filter(({ value }) => !value.startsWith(PROBE));

  const nothingCommittedUnprocessed = async (): Promise<void> => {
    // First what is committed, then what is out: a later outcome must not excuse an earlier commit.
    const offsets = await broker.offsets(input, group);
    const visible = await withKcat();
    const out = new Set(visible.map(({ value }) => idOf(value)));
    const missing = offsets.flatMap(({ partition, committed }) =>
      Array.from({ length: Number(committed ?? 0n) }, (_, n) => `${partition}:${n}`).filter(
        (id) => !out.has(id) && !gone.has(id),
      ),
    );
    expect(missing, 'committed without an outcome').toEqual([]);
  };

  const verify = async (delivery: DeliveryMode): Promise<Verdict> => {
    await all();
    await feed(1);
    await all();
    const theirs = await withKcat();
    look();
    const ours = outcomes.map(({ topic, partition, offset, id }) => `${topic}/${partition}/${offset} ${id}`);
    const kcat = theirs.map(({ topic, partition, offset, value }) => `${topic}/${partition}/${offset} ${idOf(value)}`);
    const ledger = fed
      .flatMap((count, partition) => Array.from({ length: count }, (_, n) => `${partition}:${n}`))
      .filter((id) => !gone.has(id));
    // Where an id may come twice, one may have come since we looked.
    const [inKcat, known] = [new Set(kcat), new Set(ledger)];
    if (delivery === 'exactly_once') expect(kcat.sort(), 'what kcat reads and what we read').toEqual(ours.sort());
    else
      expect(
        ours.filter((one) => !inKcat.has(one)),
        'seen by us and not by kcat',
      ).toEqual([]);

    const counts = new Map<string, number>();
    for (const { value } of theirs) counts.set(idOf(value), (counts.get(idOf(value)) ?? 0) + 1);
    expect(
      ledger.filter((id) => !counts.has(id)),
      'lost',
    ).toEqual([]);
    expect(
      [...counts.keys()].filter((id) => !known.has(id)),
      'made up',
    ).toEqual([]);
    const doubles = [...counts].filter(([, count]) => count > 1);
    if (delivery === 'exactly_once') expect(doubles, 'doubled').toEqual([]);
    for (const topic of [output, dead])
      for (let partition = 0; partition < partitions; partition += 1) {
        const numbers = theirs
          .filter((one) => one.topic === topic && one.partition === partition)
          .map(({ value }) => idOf(value).split(':').map(Number) as [number, number]);
        expect(new Set(numbers.map(([from]) => from)).size, `inputs of ${topic}/${partition}`).toBeLessThanOrEqual(1);
        // At least once goes back to where it had committed, and does it again: the first of each keep their order.
        const firsts = [...new Set(numbers.map(([, number]) => number))];
        expect(firsts, `order of ${topic}/${partition}`).toEqual([...firsts].sort((a, b) => a - b));
      }
    await nothingCommittedUnprocessed();
    const doubled = theirs.length - ledger.length;
    return { ids: ledger.length, doubled, text: `0 lost, ${doubled} doubled of ${ledger.length}` };
  };

  return {
    ...{ input, output, dead, group, feed, load, feedOne, all, nothingCommittedUnprocessed, verify },
    get fed() {
      return Math.max(...fed);
    },
    get seen() {
      return sum(look());
    },
    progress(each) {
      const before = look();
      return watch.until((box) =>
        look(box).every((now, i) => now >= Math.min(fed[i] as number, (before[i] as number) + each)),
      );
    },
    async grow() {
      await asAdmin((admin) => admin.createPartitions({ topicPartitions: [{ topic: input, count: partitions }] }));
      // A client keeps to the partitions that it knows for half a minute, and a broker that has not heard of one writes nothing to it.
      for (let partition = partitionsAtFirst; partition < partitions; partition += 1)
        while (fed[partition] === 0) {
          await producer.stop();
          producer = await broker.producer();
          await feedOne(partition, 1).catch(() => {});
        }
    },
    async cut(partition, before) {
      look();
      const cut = Array.from({ length: before }, (_, n) => `${partition}:${n}`);
      const lost = cut.filter((id) => !ids[partition]?.has(id));
      for (const id of lost) gone.add(id);
      const partitions = [{ partition, offset: String(before) }];
      await asAdmin(async (admin) => {
        // kafkajs knows a topic once it was asked for.
        await admin.fetchTopicOffsets(input);
        await admin.deleteTopicRecords({ topic: input, partitions });
      });
      return lost.length;
    },
    async settled(topic, partition) {
      const probe = freshName(PROBE);
      await producer.send({ topic, partition }, [plain(probe)]);
      await watch.until((box) => {
        look(box);
        return probes.has(probe);
      });
    },
    outcomes() {
      look();
      return outcomes;
    },
    async stop() {
      await watcher.stop();
      await producer.stop();
    },
  };
}

/** What no id begins with. */
const PROBE = '#probe';

function plain(id: string): OutputRecord {
  return { key: null, value: Buffer.from(id), headers: [] };
}

interface KcatRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly value: string;
}

/** What a reader sees of these topics now, by a client that is not ours. Values must be single lines. */
export async function readWithKcat(
  brokers: readonly string[],
  topics: readonly string[],
  isolation: 'read_committed' | 'read_uncommitted' = 'read_committed',
): Promise<KcatRecord[]> {
  const kcat = await provideTool('kcat', 'kcat', () => {});
  const read = await Promise.all(
    topics.map(async (topic) => {
      const format = ['-f', '%p %o %s\n'];
      const { stdout } = await promisify(execFile)(
        kcat,
        [
          '-C',
          '-q',
          '-e',
          '-b',
          brokers.join(','),
          '-t',
          topic,
          '-o',
          'beginning',
          '-X',
          `isolation.level=${isolation}`,
          ...format,
        ],
        { maxBuffer: 1 << 28 },
      );
      return stdout
        .split('\n')
        .filter(Boolean)
        .map((line) => {
          const [, partition, offset, value] = /^(\d+) (\d+) (.*)$/.exec(line) as unknown as [
            string,
            string,
            string,
            string,
          ];
          return { topic, partition: Number(partition), offset: Number(offset), value };
        });
    }),
  );
  return read.flat();
}
