import type { Producer as KafkaProducer, ProducerConfig } from 'kafkajs';
import { MnerError } from '../../errors.js';
import type { Producer } from '../port.js';
import type { KafkaCluster } from './client.js';
import { compressionType } from './codecs.js';
import { wireError } from './errors.js';
import { toMessage } from './records.js';

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
 * A producer over kafkajs. It is not idempotent: kafkajs would then send to a broker one request at a time, and a
 * duplicate after a lost acknowledgement is within the promise of at least once.
 *
 * @throws MnerError `broker_unreachable`, `authentication_failed`
 */
export async function kafkaProducer(cluster: KafkaCluster): Promise<Producer> {
  const compression = compressionType(cluster.compression);
  const producer: KafkaProducer = cluster.client().producer({
    ...EVERY_PRODUCER,
    // Few and short: a lane tries again by itself, and only its own attempts look whether the partition is still ours.
    retry: { initialRetryTime: 100, maxRetryTime: 1000, factor: 0.2, multiplier: 2, retries: 3 },
  });
  try {
    await producer.connect();
  } catch (error) {
    throw wireError(error, `Cannot reach Kafka at ${cluster.brokers}`, 'broker_unreachable');
  }
  let stopped: Promise<void> | undefined;
  return {
    async send(to, records) {
      if (stopped) throw new MnerError('broker_unavailable', 'The producer has stopped.');
      if (records.length === 0) return;
      try {
        await producer.send({
          topic: to.topic,
          messages: records.map((record) => toMessage(to.partition, record)),
          acks: -1,
          compression,
        });
      } catch (error) {
        throw wireError(error, `Cannot write to ${to.topic}, partition ${to.partition}`);
      }
    },
    stop() {
      stopped ??= producer.disconnect().catch(() => {});
      return stopped;
    },
  };
}
