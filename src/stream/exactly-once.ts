import { type Clock, systemClock } from '../clock.js';
import { asMnerError, MnerError } from '../errors.js';
import { type Emit, silent } from '../telemetry/events.js';
import type { DeliveringLane, Delivery, Voided } from './delivery.js';
import type { Finished } from './lane.js';
import { keyOf } from './partition-key.js';
import type { Broker, Consumer, TopicPartition, TransactionalProducer } from './port.js';
import { persist } from './retry.js';
import { outcomeWriter, type Topics, waitingForDeadLetters } from './write-outcomes.js';

export interface ExactlyOnceOptions {
  readonly broker: Pick<Broker, 'transactions'>;
  readonly consumer: Pick<Consumer, 'rewind'>;
  /** The consumer group, whose offsets are committed together with the outcomes. */
  readonly group: string;
  readonly topics: Topics;
  /** A topic's number of partitions. */
  readonly partitionsOf: (topic: string) => number;
  /** After this long the broker aborts a transaction by itself, in milliseconds; less than the session's time-out. */
  readonly timeoutMs: number;
  /** An opening that fails for longer is told, in milliseconds. @default never */
  readonly retryBudgetMs?: number | undefined;
  readonly clock?: Clock;
  readonly emit?: Emit;
}

/**
 * The transactional id of an input partition. It must be the same in every worker of a group, so nothing of the single worker
 * is in it; a slash is in no group's and no topic's name, so no two partitions share an id.
 */
export function transactionalId(group: string, { topic, partition }: TopicPartition): string {
  return `mner/${group}/${topic}/${partition}`;
}

/** The producer of one partition, from its opening until its epoch ends or a transaction fails. */
interface Session {
  readonly producer: TransactionalProducer;
  readonly signal: AbortSignal;
  /** A transaction has begun and nothing is in it. */
  begun: boolean;
  /** A delivery is under way, and ends the session itself. */
  busy: boolean;
  end(): Promise<void>;
}

/**
 * Delivery exactly once: the outcomes of a lane and its next offset in one transaction. To a reader of committed records every
 * input record has one outcome, whatever breaks, and whoever else holds the partition for his own.
 *
 * It rests on fencing alone. kafkajs commits offsets in a transaction without the group's generation, so no broker would refuse
 * a worker that has lost the partition; but each partition has a transactional id of its own, and of all producers with that id
 * only the one that began last may commit. The way of a partition, and what may go wrong at each step:
 *
 * 1. The lane pauses it (`lanes.ts`). What was fetched before is dropped.
 * 2. A new producer begins a transaction. That fences the one before: a worker that froze and wakes up, or ourselves under an
 *    older epoch. Its open transaction is aborted; one that was committing is waited for. From here on nobody but us can move
 *    the committed offset.
 * 3. Only now is that offset read, and sought. Read earlier, it may be stale: the older producer may commit 10 to 20 between
 *    our look, which says 10, and our fence; 10 to 20 would be delivered twice.
 * 4. The lane resumes it.
 * 5. A transaction: the offset, then one send after the other, to one partition of each topic, then the commit. The offset goes
 *    first because the coordinator refuses the first step after a commit for a few milliseconds, and only `sendOffsets` is
 *    tried again quickly. Within a transaction the order does not matter to readers.
 * 6. Whatever fails in between is not mended but void: the producer is thrown away, and the partition goes through 1 to 4 again.
 *    - A send or the offsets failed: nothing is committed; step 2 aborts what is open.
 *    - The commit failed, or was not answered: it may have happened. Step 2 waits until that is decided, and step 3 sees it.
 *    - We were fenced: somebody has gone through step 2 after us. If he is the rightful owner, the group will tell us soon. If we
 *      are (he was frozen within step 2), we open again, and he is fenced.
 *    Outcomes are never sent again from memory: between a failure and the next fence somebody else may have done them.
 * 7. The epoch ends: what is open is aborted, so that readers need not wait for its time-out, and the producer disconnects.
 *    Where even that fails, the next owner's step 2 does it.
 */
export function exactlyOnce(options: ExactlyOnceOptions): Delivery {
  const { broker, consumer, group, topics, partitionsOf, timeoutMs } = options;
  const { clock = systemClock, emit = silent } = options;
  const write = outcomeWriter({ topics, partitionsOf, clock, emit });
  const sessions = new Map<string, Session>();

  const open = async (lane: DeliveringLane): Promise<void> => {
    const { topic, partition, signal } = lane;
    let noted = false;
    const stumbled = (error: MnerError): void => {
      // Once for each opening: a broker that is down stays so for many attempts.
      if (!noted) emit({ type: 'note', level: 'warn', message: error.message, detail: { topic, partition } });
      noted = true;
    };
    await persist(() => attempt(lane), { clock, signal, stumbled, spent: lane.spent, budgetMs: options.retryBudgetMs });
  };

  const attempt = async (lane: DeliveringLane): Promise<void> => {
    // Not waited for: its connection may hang, and the fence does not need it.
    void sessions.get(keyOf(lane))?.end();
    const producer = await broker.transactions({ id: transactionalId(group, lane), timeoutMs });
    try {
      live(lane);
      await producer.begin(); // Step 2.
      live(lane);
      const place = await consumer.rewind(lane); // Step 3.
      if (place.committed) start(lane, producer, true);
      else {
        // "From the end" would be another place at the next look, so the first one is kept.
        await producer.sendOffsets(group, [{ topic: lane.topic, partition: lane.partition, offset: place.offset }]);
        await producer.commit();
        start(lane, producer, false);
      }
    } catch (error) {
      void producer.stop();
      throw error;
    }
  };

  const start = (lane: DeliveringLane, producer: TransactionalProducer, begun: boolean): void => {
    const { signal } = lane;
    const key = keyOf(lane);
    const idle = (): void => {
      if (!session.busy) void session.end();
    };
    const session: Session = {
      producer,
      signal,
      begun,
      busy: false,
      end() {
        signal.removeEventListener('abort', idle);
        if (sessions.get(key) === session) sessions.delete(key);
        return producer.stop();
      },
    };
    sessions.set(key, session);
    signal.addEventListener('abort', idle, { once: true });
    if (signal.aborted) idle();
  };

  const deliver = async (
    lane: DeliveringLane,
    finished: readonly Finished[],
    nextOffset: bigint,
  ): Promise<readonly Finished[] | Voided> => {
    const { topic, partition, signal } = lane;
    const session = sessions.get(keyOf(lane));
    if (!session || session.signal !== signal) return { voided: new MnerError('broker_unavailable', NO_SESSION) };
    const { producer } = session;
    let committing = false;
    session.busy = true;
    try {
      if (!session.begun) await producer.begin();
      session.begun = false;
      live(lane);
      await producer.sendOffsets(group, [{ topic, partition, offset: nextOffset }]);
      const send: TransactionalProducer['send'] = (to, records) => {
        live(lane);
        return producer.send(to, records);
      };
      const became = await write(partition, waitingForDeadLetters(topics.deadLetters, send), finished);
      live(lane);
      const began = clock.now();
      committing = true;
      await producer.commit();
      emit({ type: 'transaction', result: 'committed' });
      emit({ type: 'stage', stage: 'commit', seconds: (clock.now() - began) / 1000 });
      session.busy = false;
      if (signal.aborted) void session.end();
      return became;
    } catch (cause) {
      const error = asMnerError(cause);
      const unknown = committing && error.code !== 'producer_fenced';
      emit({ type: 'transaction', result: unknown ? 'unknown' : 'aborted' });
      // A lane that is opened again fences itself; for one that is gone nobody may come for a while.
      if (!committing && (signal.aborted || error.class === 'fatal')) await producer.abort().catch(() => {});
      void session.end();
      if (error.class === 'retryable') return { voided: error };
      throw error;
    }
  };

  return { commits: 'itself', open, deliver };
}

const NO_SESSION = 'The partition is opened again before its outcomes are delivered.';

/** @throws MnerError when the lane's epoch is over */
function live({ signal, topic, partition }: DeliveringLane): void {
  if (signal.aborted)
    throw new MnerError('broker_unavailable', `Partition ${partition} of ${topic} is no longer ours under this epoch.`);
}
