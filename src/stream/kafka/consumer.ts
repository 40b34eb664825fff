import type { EachBatchPayload, Consumer as KafkaConsumer } from 'kafkajs';
import { delay } from '../../clock.js';
import { type Deferred, deferred, settled } from '../../deferred.js';
import { asMnerError, MnerError } from '../../errors.js';
import { beginPolicy, outOfLog } from '../begin-at.js';
import { keyOf } from '../partition-key.js';
import type { CommitOffset, Consumer, ConsumerHandlers, ConsumerOptions, Place, TopicPartition } from '../port.js';
import type { KafkaAdmin } from './admin.js';
import type { KafkaCluster } from './client.js';
import { isWireError, wireError } from './errors.js';
import { createMember } from './group-member.js';
import { createLinger } from './linger.js';
import { each, goneTopic, knownOf, requireTopics, topicsOf } from './partitions.js';
import { createPositions } from './positions.js';
import { fromMessage } from './records.js';
import { createRefusals } from './refusals.js';

/** Between two attempts of ours to bring back a consumer that kafkajs has given up, in milliseconds. */
const REVIVE_MS = 1000;
/** How long `stop` waits for a join that is under way, in milliseconds; more than one request's time-out. */
const STOP_DEADLINE_MS = 15_000;

/**
 * A member of a consumer group, over kafkajs.
 *
 * Order of the handlers: kafkajs tells of a rebalance when it joins again, and awaits nobody, so `revoked` comes without a
 * chance to commit, and sometimes not at all (UNKNOWN_MEMBER_ID, stale metadata): `assigned` alone says that whatever was
 * held is void. Records that were fetched before a join are not handed over after it (positions.ts).
 */
export function kafkaConsumer(cluster: KafkaCluster, admin: KafkaAdmin, options: ConsumerOptions): Consumer {
  const { clock, emit } = cluster;
  const { topics, group, from = 'earliest', outOfRange = 'earliest' } = options;
  const { sessionTimeoutMs = 30_000, maxBytesPerPartition = 1_048_576 } = options;
  const begin = beginPolicy({ from, outOfRange, emit });
  const positions = createPositions();
  const ending = new AbortController();
  const refusals = createRefusals();
  const linger = createLinger(clock, ending.signal);
  let consumer: KafkaConsumer | undefined;
  let stopping: Promise<void> | undefined;
  let first: Deferred | undefined;
  /** Counts the joins; what began under an older one is void. */
  let generation = 0;
  let joined = false;
  /** When the coordinator answered last. */
  let heard = 0;
  /** No fetch is under way: before the first join, and between REBALANCING, which comes after they ended, and the next. */
  let quiet = true;
  /** The consumer stopped, and has not joined since. */
  let outage = false;
  /** From `run` or a restart until the group is joined or kafkajs gives up; while it lasts `disconnect` stops nothing. */
  let joining = settled();
  /** The last offset that the coordinator acknowledged in this generation, by partition. */
  const acknowledged = new Map<string, bigint>();
  /** Partitions of this generation whose place is not known yet: none of them is fetched. */
  let unplaced = new Set<string>();
  /** Partitions that were paused by who reads them. */
  const heldBack = new Set<string>();
  /** How often each partition was rewound in this generation. */
  const rewinds = new Map<string, number>();

  const start = async (handlers: ConsumerHandlers): Promise<void> => {
    if (stopping || first) return;
    first = deferred();
    const started = first;
    await requireTopics(admin, topics);
    if (ending.signal.aborted) return;
    consumer = createMember(cluster, {
      ...{ group, sessionTimeoutMs, maxBytesPerPartition, refusals },
      restarts: () => !ending.signal.aborted,
    });
    listen(consumer, handlers);
    try {
      await consumer.connect();
      // Where it goes on when an offset is gone while we read; where it begins, `place` says.
      await consumer.subscribe({ topics: [...topics], fromBeginning: outOfRange !== 'latest' });
    } catch (error) {
      throw wireError(error, `Cannot reach Kafka at ${cluster.brokers}`, 'broker_unreachable');
    }
    // Stopped while it connected: `stop` may have found nothing to close yet.
    if (ending.signal.aborted) return consumer.disconnect();
    run(consumer, handlers);
    await started.promise;
  };

  const run = (member: KafkaConsumer, handlers: ConsumerHandlers): void => {
    joining = deferred();
    member
      .run({
        autoCommit: false, // Each commit would wait for the coordinator between two fetches: worth 2x to 20x.
        eachBatchAutoResolve: false, // A batch that we refuse must be fetched again.
        partitionsConsumedConcurrently: 1, // Handing over is quick, a short wait where little comes (linger.ts).
        eachBatch: (payload) => handOver(member, handlers, payload),
      })
      .catch((error) => crashed(member, handlers, error));
  };

  const listen = (member: KafkaConsumer, handlers: ConsumerHandlers): void => {
    const { GROUP_JOIN, HEARTBEAT, REBALANCING, STOP, CRASH, COMMIT_OFFSETS, END_BATCH_PROCESS } = member.events;
    member.on(GROUP_JOIN, ({ payload }) => {
      joining.resolve();
      if (ending.signal.aborted) return;
      const partitions = Object.entries(payload.memberAssignment).flatMap(([topic, numbers]) =>
        numbers.map((partition) => ({ topic, partition })),
      );
      generation += 1;
      joined = true;
      heard = clock.now();
      outage = false;
      acknowledged.clear();
      rewinds.clear();
      // kafkajs keeps a partition paused across rebalances, even one that was away meanwhile.
      const paused = member.paused();
      if (paused.length > 0) member.resume(paused);
      positions.joined(partitions.map(keyOf), quiet);
      quiet = false;
      // kafkajs knows no policy: where the committed offset is gone, it commits a negative one and begins elsewhere without
      // a word. So nothing is fetched, from this breath on, before we know that the log has what we ask for.
      unplaced = new Set(partitions.map(keyOf));
      heldBack.clear();
      if (partitions.length > 0) member.pause(each(partitions));
      void place(member, handlers, partitions, generation);
      handlers.assigned(partitions);
      first?.resolve();
    });
    member.on(HEARTBEAT, () => {
      heard = clock.now();
    });
    member.on(REBALANCING, () => {
      quiet = true;
      revoke(handlers);
    });
    // On its way to a crash: from here on, until it has joined again, kafkajs throws at whoever pauses, resumes or seeks.
    member.on(STOP, () => revoke(handlers));
    member.on(CRASH, ({ payload }) => {
      revoke(handlers);
      if (!payload.restart) return crashed(member, handlers, payload.error);
      // kafkajs starts again by itself: the join begins anew, under a `run` that has long returned.
      const before = joining;
      joining = deferred();
      before.resolve();
      stumbled(`The Kafka consumer starts again: ${payload.error.message}.`);
      // For ever, where a topic is gone.
      void goneTopic(admin, topics, payload.error).then((error) => error && failed(handlers, error));
    });
    member.on(COMMIT_OFFSETS, ({ payload }) => {
      for (const { topic, partitions } of payload.topics)
        for (const { partition, offset } of partitions)
          acknowledged.set(keyOf({ topic, partition }), BigInt(`${offset}`));
    });
    member.on(END_BATCH_PROCESS, ({ payload }) => {
      if (payload.batchSize > 0) return;
      const { topic, partition } = payload;
      const next = BigInt(payload.lastOffset) + 1n;
      if (positions.skipped(keyOf(payload), next)) handlers.reached?.({ topic, partition }, next);
    });
  };

  /** Once for each time that the group is lost: attempts follow each other by the half second. */
  const stumbled = (message: string): void => {
    if (!outage) emit({ type: 'note', level: 'warn', message });
    outage = true;
  };

  const revoke = (handlers: ConsumerHandlers): void => {
    if (joined && !ending.signal.aborted) handlers.revoked();
    joined = false;
  };

  /**
   * kafkajs has stopped for good. It does so for everything that it calls not retriable, among it a cluster without a
   * coordinator, as every cluster is while its brokers restart; those we bring back, the rest is for the worker to end.
   */
  const crashed = (member: KafkaConsumer, handlers: ConsumerHandlers, thrown: unknown): void => {
    const cause = refusals.explain(thrown);
    joining.resolve();
    if (ending.signal.aborted) {
      first?.resolve();
      return;
    }
    const error = isWireError(cause)
      ? wireError(cause, `The consumer of ${topics.join(', ')} in the group ${group} stopped`)
      : new MnerError('consumer_crashed', `The Kafka consumer stopped for good: ${asMnerError(cause).message}`, {
          cause,
        });
    if (error.class === 'retryable') {
      stumbled(`${error.message} It is brought back.`);
      void revive(member, handlers);
    } else failed(handlers, error);
  };

  const failed = (handlers: ConsumerHandlers, error: MnerError): void => {
    if (generation === 0) first?.reject(error);
    else if (!ending.signal.aborted) handlers.failed(error);
  };

  const revive = async (member: KafkaConsumer, handlers: ConsumerHandlers): Promise<void> => {
    joining = deferred();
    while (!ending.signal.aborted) {
      await delay(clock, REVIVE_MS, ending.signal);
      if (ending.signal.aborted) break;
      const connected = await member.connect().then(
        () => true,
        () => false,
      );
      if (connected && !ending.signal.aborted) return run(member, handlers);
    }
    joining.resolve();
  };

  const handOver = async (
    member: KafkaConsumer,
    handlers: ConsumerHandlers,
    payload: EachBatchPayload,
  ): Promise<void> => {
    const { batch, resolveOffset } = payload;
    const { topic, partition } = batch;
    const key = keyOf(batch);
    if (ending.signal.aborted || !joined) return;
    // What the fetch asked for; the type declarations leave it out. The first record's offset says less: logs have gaps.
    const fetched = BigInt((batch as typeof batch & { readonly fetchedOffset: string }).fetchedOffset);
    const judged = positions.judge(key, fetched);
    if (judged.verdict === 'refuse') return;
    if (judged.verdict === 'seek') return member.seek({ topic, partition, offset: String(judged.offset) });
    if (judged.verdict === 'jumped') {
      const { expected } = judged;
      // kafkajs has committed a negative offset, with which the next start would begin as if nothing had been.
      const kept = outOfRange === 'fail' ? expected : fetched;
      await commit([{ topic, partition, offset: kept }]).catch(() => {});
      if (outOfRange === 'fail') return handlers.failed(outOfLog(batch, expected, `it goes on at ${fetched}`));
      begin.reset({ topic, partition, from: expected, to: fetched, policy: outOfRange });
    }
    const [under, rewound] = [generation, rewinds.get(key)];
    const records = batch.messages.map((message) => fromMessage(topic, partition, message));
    await handlers.records(records, BigInt(batch.highWatermark));
    await linger(batch);
    // The group may have been joined again meanwhile, or the partition rewound: then kafkajs's position is a new one, and
    // this batch must not move it. Moved to the end of a batch that its lane dropped, it would skip those records.
    const last = batch.messages.at(-1);
    if (under !== generation || rewound !== rewinds.get(key) || !last) return;
    const next = BigInt(batch.lastOffset()) + 1n;
    positions.taken(key, next);
    resolveOffset(last.offset);
    handlers.reached?.({ topic, partition }, next);
  };

  /** Reads the committed offsets after a join, and begins there. */
  const place = async (
    member: KafkaConsumer,
    handlers: ConsumerHandlers,
    partitions: readonly TopicPartition[],
    under: number,
  ): Promise<void> => {
    const valid = () => joined && under === generation && !ending.signal.aborted;
    while (valid() && unplaced.size > 0) {
      try {
        for (const topic of topicsOf(partitions)) {
          const offsets = await admin.offsets(topic, group, knownOf(partitions, topic));
          if (!valid()) return;
          for (const found of offsets) {
            const of = { topic, partition: found.partition };
            // A rewind was sooner, and read its offset later than we did.
            if (unplaced.has(keyOf(of))) seek(member, of, begin.at(topic, found));
          }
        }
        if (unplaced.size === 0) return;
      } catch (cause) {
        const error = asMnerError(cause);
        if (error.class === 'fatal') return handlers.failed(error);
        emit({ type: 'note', level: 'warn', message: error.message });
      }
      await delay(clock, REVIVE_MS, ending.signal);
    }
  };

  /** Reading goes on at `offset`, at once unless it is held back. */
  const seek = (member: KafkaConsumer, of: TopicPartition, offset: bigint): void => {
    const key = keyOf(of);
    positions.place(key, offset);
    member.seek({ ...of, offset: String(offset) });
    if (unplaced.delete(key) && !heldBack.has(key)) member.resume(each([of]));
  };

  const rewind = async ({ topic, partition }: TopicPartition): Promise<Place> => {
    const under = generation;
    const member = consumer;
    const offsets = await admin.offsets(topic, group, partition + 1);
    const found = offsets.find((one) => one.partition === partition);
    if (!member || !found || !joined || under !== generation || ending.signal.aborted)
      throw new MnerError('broker_unavailable', `Cannot seek in ${topic}: this worker is not in its group now.`);
    const offset = begin.at(topic, found);
    // From here on without a pause: counted first, so that no batch under way moves it again.
    const key = keyOf({ topic, partition });
    rewinds.set(key, (rewinds.get(key) ?? 0) + 1);
    seek(member, { topic, partition }, offset);
    return { offset, committed: found.committed !== null };
  };

  const commit = async (offsets: readonly CommitOffset[]): Promise<void> => {
    const what = `Cannot commit for the group ${group} in ${topicsOf(offsets).join(', ')}`;
    if (!consumer || !joined || ending.signal.aborted)
      throw new MnerError('broker_unavailable', `${what}: this worker is not in its group now.`);
    try {
      await consumer.commitOffsets(offsets.map((one) => ({ ...one, offset: String(one.offset) })));
    } catch (error) {
      throw wireError(error, what);
    }
    // kafkajs returns without a word when its runner has stopped; only its event says that the coordinator agreed.
    const missed = offsets.some((one) => acknowledged.get(keyOf(one)) !== one.offset);
    if (missed) throw new MnerError('broker_unavailable', `${what}: the coordinator did not acknowledge it.`);
  };

  const stop = (): Promise<void> => {
    stopping ??= end();
    return stopping;
  };

  const end = async (): Promise<void> => {
    ending.abort();
    const member = consumer;
    if (member) {
      // While kafkajs joins, its `disconnect` returns at once, and the join goes on to make a member that nobody holds.
      const done = joining.promise.then(() => member.disconnect()).catch(() => {});
      await Promise.race([done, delay(clock, STOP_DEADLINE_MS)]);
    }
    joined = false;
    first?.resolve();
  };

  const pause = (partitions: readonly TopicPartition[]): void => {
    if (!joined || partitions.length === 0) return;
    for (const one of partitions) heldBack.add(keyOf(one));
    consumer?.pause(each(partitions));
  };

  const resume = (partitions: readonly TopicPartition[]): void => {
    if (!joined) return;
    for (const one of partitions) heldBack.delete(keyOf(one));
    const placed = partitions.filter((one) => !unplaced.has(keyOf(one)));
    if (placed.length > 0) consumer?.resume(each(placed));
  };

  return {
    start,
    inTouch() {
      return joined && clock.now() - heard <= sessionTimeoutMs;
    },
    pause,
    resume,
    commit,
    rewind,
    stop,
  };
}
