import type { Broker, Consumer, Producer, TransactionalProducer } from '../port.js';
import { kafkaAdmin } from './admin.js';
import { type KafkaOptions, kafkaCluster } from './client.js';
import { installCodecs } from './codecs.js';
import { kafkaConsumer } from './consumer.js';
import { kafkaProducer } from './producer.js';
import { kafkaTransactions } from './transactions.js';

export type { KafkaOptions } from './client.js';
export { COMPRESSIONS, type Compression } from './codecs.js';

/** The real adapter of {@link Broker}: Apache Kafka through kafkajs 2.2.4. Nothing of kafkajs is seen outside this folder. */
export function kafkaBroker(options: KafkaOptions): Broker {
  installCodecs();
  const cluster = kafkaCluster(options);
  const admin = kafkaAdmin(cluster);
  const open = new Set<Consumer | Producer | TransactionalProducer>();
  return {
    connect: admin.connect,
    partitions: admin.partitions,
    createTopics: admin.createTopics,
    offsets: admin.offsets,
    consumer(consumerOptions) {
      const consumer = kafkaConsumer(cluster, admin, consumerOptions);
      open.add(consumer);
      return consumer;
    },
    async producer() {
      const producer = await kafkaProducer(cluster);
      open.add(producer);
      return producer;
    },
    async transactions(transactionsOptions) {
      const producer = await kafkaTransactions(cluster, admin, transactionsOptions, () => open.delete(producer));
      open.add(producer);
      return producer;
    },
    async close() {
      await Promise.all([...open].map((one) => one.stop()));
      await admin.stop();
    },
  };
}
