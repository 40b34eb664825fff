import type { Producer as KafkaProducer, ProducerConfig, RecordMetadata } from 'kafkajs';
import { MnerError } from '../../errors.js';
import type { Producer } from '../port.js';
import { kafkaAdmin } from './admin.js';
import type { KafkaCluster } from './client.js';
import { compressionType } from './codecs.js';
import { wireError } from './errors.js';
import { gathering, type Share } from './gathering.js';
import { knownLeaders } from './leaders.js';
import { toMessage } from './records.js';
import { partlyWritten, writtenIn } from './written.js';

/** Settings of every producer, transactional or not. */
export const EVERY_PRODUCER: ProducerConfig = {
  allowAutoTopicCreation: false,
  // A record's partition is always set by us, so no partitioner chooses, also when a retry asks again. With one of our
  // own, kafkajs does not warn of its default either (KAFKAJS_NO_PARTITIONER_WARNING).
  createPartitioner:
    () =>
    ({ message }) =>
      message.partition ?? 0,
  metadataMaxAge: 30_000,
};

/**
 * How long a broker waits for its replicas; shorter than kafkajs waits for the broker, or one partition that lacks a replica would keep back the
 * answer for all that share its request.
 */
const ACKS_TIMEOUT_MS = 5000;

/**
 * kafkajs leaves out what is for a partition that its metadata does not have, and says that it was sent: one that was added a
 * moment ago, of which some brokers know and others do not yet, or one that is gone since the topic was made anew. Only the answers of
 * the brokers show that nothing was written. It looks at the metadata again within 30 seconds, so trying again may help.
 *
 * @throws MnerError `broker_unavailable`
 */
export function requireWritten(answers: readonly RecordMetadata[], topic: string, partitions: readonly number[]): void {
  const told = new Set(answers.flatMap((answer) => (answer.topicName === topic ? [answer.partition] : [])));
  const missing = partitions.find((partition) => !told.has(partition));
  if (missing === undefined) return;
  const message = `Cannot write to ${topic}, partition ${missing}: the brokers do not tell the client of this partition.`;
  throw partlyWritten(new MnerError('broker_unavailable', message), [...told]);
}

/**
 * A producer over kafkajs. It is not idempotent: kafkajs would then send to a broker one request at a time, and a
 * duplicate after a lost acknowledgement is within the promise of at least once.
 *
 * Each topic has a client of its own. One client asks, every half minute, for all the topics that it has ever written to, and writes
 * to none of them any more once one is gone or forbidden: without a topic for dead letters there would be no outputs either.
 *
 * @throws MnerError `broker_unreachable`, `authentication_failed`
 */
export async function kafkaProducer(cluster: KafkaCluster): Promise<Producer> {
  const compression = compressionType(cluster.compression);
  const open = async (otherwise: 'broker_unreachable' | 'broker_unavailable'): Promise<KafkaProducer> => {
    const client = cluster.client().producer({
      ...EVERY_PRODUCER,
      // Few and short: a lane tries again by itself, and only its own attempts look whether the partition is still ours.
      retry: { initialRetryTime: 100, maxRetryTime: 1000, factor: 0.2, multiplier: 2, retries: 3 },
    });
    try {
      await client.connect();
    } catch (error) {
      client.disconnect().catch(() => {});
      throw wireError(error, `Cannot reach Kafka at ${cluster.brokers}`, otherwise);
    }
    return client;
  };
  /** Connected at once, for the first topic. */
  let spare: KafkaProducer | undefined = await open('broker_unreachable');
  const clients = new Map<string, Promise<KafkaProducer>>();
  const clientOf = (topic: string): Promise<KafkaProducer> => {
    const known = clients.get(topic);
    if (known) return known;
    const client = spare ? Promise.resolve(spare) : open('broker_unavailable');
    spare = undefined;
    clients.set(topic, client);
    client.catch(() => clients.delete(topic));
    return client;
  };
  let stopped: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    await admin.stop();
    const opened = await Promise.allSettled([...clients.values(), ...(spare ? [spare] : [])]);
    await Promise.allSettled(opened.map((one) => (one.status === 'fulfilled' ? one.value.disconnect() : undefined)));
  };
  const write = async (topic: string, shares: readonly Share[]): Promise<void> => {
    if (stopped) throw new MnerError('broker_unavailable', 'The producer has stopped.');
    const client = await clientOf(topic);
    const messages = shares.flatMap(({ partition, records }) => records.map((record) => toMessage(partition, record)));
    const answers = await client.send({ topic, messages, acks: -1, timeout: ACKS_TIMEOUT_MS, compression });
    const partitions = shares.map(({ partition }) => partition);
    requireWritten(answers, topic, partitions);
  };
  // Of its own: a question for one topic makes kafkajs forget for a moment what it knows of the others.
  const admin = kafkaAdmin(cluster);
  const leaderOf = knownLeaders(admin.leaders, cluster.clock);
  const send = gathering({ write, taken: writtenIn, leaderOf });
  return {
    async send(to, records) {
      if (records.length === 0) return;
      try {
        await send(to, records);
      } catch (error) {
        throw wireError(error, `Cannot write to ${to.topic}, partition ${to.partition}`);
      }
    },
    stop() {
      stopped ??= close();
      return stopped;
    },
  };
}
