import type { Producer as KafkaProducer, Transaction } from 'kafkajs';
import { asMnerError, type ErrorCode, MnerError } from '../../errors.js';
import type { TransactionalProducer, TransactionsOptions } from '../port.js';
import type { KafkaAdmin } from './admin.js';
import type { KafkaCluster } from './client.js';
import { compressionType } from './codecs.js';
import { wireError } from './errors.js';
import { topicsOf } from './partitions.js';
import { untilPassed } from './passing.js';
import { EVERY_PRODUCER, requireWritten } from './producer.js';
import { toMessage } from './records.js';
import { createRefusals } from './refusals.js';

/**
 * Many and short: CONCURRENT_TRANSACTIONS follows every commit for a few milliseconds, and kafkajs's own 300 ms would allow
 * nine transactions a second. Together two seconds; whoever uses the producer opens another after that.
 */
const RETRY = { initialRetryTime: 5, maxRetryTime: 500, factor: 0.2, multiplier: 2, retries: 10 };

/** What is wrong with a topic, as kafkajs has it from a question about several. */
const OF_A_TOPIC: ReadonlySet<ErrorCode> = new Set(['topic_missing', 'not_authorised']);

/**
 * A transactional producer over kafkajs, which has these hazards:
 * - `connect` does not fence: InitProducerId is sent by the first `transaction()`.
 * - A `send` to several brokers repeats records inside a committed transaction; ours go to one partition each.
 * - A `send` to a partition that it does not know writes nothing, and resolves.
 * - Once a topic that it has written to is gone or forbidden, it says so of all the others as well.
 * - `sendOffsets` does not retry CONCURRENT_TRANSACTIONS, and knows the coordinator's errors by wrong names.
 * - After a failed commit or abort its state stays there for good, and `abort` throws.
 *
 * `idempotent` is not set: inside a transaction kafkajs numbers the records in any case, and it would only make `connect` ask
 * for a second producer id that nobody uses.
 *
 * @param stopped called once it has stopped
 * @throws MnerError `broker_unavailable`, `authentication_failed`
 */
export async function kafkaTransactions(
  cluster: KafkaCluster,
  admin: Pick<KafkaAdmin, 'partitions'>,
  { id, timeoutMs }: TransactionsOptions,
  stopped: () => void,
): Promise<TransactionalProducer> {
  const { clock } = cluster;
  const compression = compressionType(cluster.compression);
  const refusals = createRefusals();
  const producer: KafkaProducer = cluster.client({ retry: RETRY, refusals }).producer({
    transactionalId: id,
    transactionTimeout: timeoutMs,
    maxInFlightRequests: 1,
    ...EVERY_PRODUCER,
    retry: RETRY,
  });
  try {
    await producer.connect();
  } catch (error) {
    producer.disconnect().catch(() => {});
    throw wireError(error, `Cannot reach Kafka at ${cluster.brokers}`, 'broker_unavailable');
  }

  let transaction: Transaction | undefined;
  let ended: Promise<void> | undefined;
  /** Topics that have been written to. */
  const heard = new Set<string>();

  /** Runs one step of the open transaction; whatever kafkajs throws gets a code of ours. */
  const step = async (what: string, work: (open: Transaction) => Promise<void>): Promise<void> => {
    if (ended) throw new MnerError('broker_unavailable', `${what}: the producer has stopped.`);
    if (!transaction) throw new MnerError('internal', `${what}: no transaction is open.`);
    try {
      await work(transaction);
    } catch (error) {
      throw wireError(refusals.explain(error), what);
    }
  };

  /** Whether a topic is gone, or hidden from us. */
  const away = (topic: string): Promise<boolean> =>
    admin.partitions([topic]).then(
      (found) => !found.has(topic),
      (error) => asMnerError(error).code === 'not_authorised',
    );

  /**
   * What kafkajs says of one topic may be the fault of another that this producer has written to; then the next producer, which has not,
   * can write.
   *
   * @param before it was written to earlier, so that its rights are not at fault for the first time
   */
  const blame = async (error: MnerError, topic: string, before: boolean): Promise<MnerError> => {
    const others = [...heard].filter((other) => other !== topic);
    if (!OF_A_TOPIC.has(error.code) || others.length === 0 || (await away(topic))) return error;
    const found = await Promise.all(others.map(away));
    if (error.code === 'not_authorised' && !before && !found.includes(true)) return error;
    const which = others.filter((_, i) => found[i]).join(', ') || 'another topic';
    const message = `Cannot write to ${topic} with a producer that has written to ${which}, which is gone or forbidden now.`;
    return new MnerError('broker_unavailable', message, { cause: error });
  };

  return {
    async begin() {
      const what = `Cannot begin a transaction of ${id}`;
      if (ended) throw new MnerError('broker_unavailable', `${what}: the producer has stopped.`);
      try {
        transaction = await producer.transaction();
      } catch (error) {
        throw wireError(refusals.explain(error), what);
      }
    },
    async send(to, records) {
      if (records.length === 0) return;
      const before = heard.has(to.topic);
      heard.add(to.topic);
      try {
        await step(`Cannot write to ${to.topic}, partition ${to.partition}`, async (open) => {
          const messages = records.map((record) => toMessage(to.partition, record));
          const answers = await open.send({ topic: to.topic, messages, acks: -1, compression });
          requireWritten(answers, to.topic, [to.partition]);
        });
      } catch (error) {
        throw await blame(asMnerError(error), to.topic, before);
      }
    },
    sendOffsets(group, offsets) {
      const names = topicsOf(offsets);
      return step(`Cannot commit for the group ${group} in ${names.join(', ')}, in a transaction of ${id}`, (open) => {
        const topics = names.map((name) => ({
          topic: name,
          partitions: offsets
            .filter(({ topic }) => topic === name)
            // kafkajs's types leave the metadata out; its request has them.
            .map(({ partition, offset, metadata }) => ({ partition, offset: String(offset), metadata })),
        }));
        return untilPassed(
          clock,
          () => ended !== undefined,
          () => open.sendOffsets({ consumerGroupId: group, topics }),
        );
      });
    },
    commit: () => step(`Cannot commit a transaction of ${id}`, (open) => open.commit()),
    abort: () => step(`Cannot abort a transaction of ${id}`, (open) => open.abort()),
    stop() {
      ended ??= producer
        .disconnect()
        .catch(() => {})
        .finally(stopped);
      return ended;
    },
  };
}
