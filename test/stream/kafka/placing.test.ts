import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { kafkaBroker } from '#mner/stream/kafka/broker.js';
import { type FaultCluster, startFaultCluster } from '../../support/fault-cluster.js';
import { NO_SERVERS } from '../../support/servers.js';
import { inbox } from '../inbox.js';
import { freshName } from '../names.js';

describe.skipIf(NO_SERVERS)('a consumer that finds out where to begin', () => {
  let cluster: FaultCluster;
  beforeAll(async () => {
    cluster = await startFaultCluster({ nodes: 1 });
  }, 120_000);
  afterAll(() => cluster.stop(), 60_000);

  it('offsets that are told while kafkajs starts again after a crash: it begins after the next join, and does not end', {
    timeout: 120_000,
  }, async () => {
    const [topic, group] = [freshName('in'), freshName('group')];
    await cluster.broker.createTopics([{ topic, partitions: 1 }]);
    const producer = await cluster.broker.producer();
    await producer.send({ topic, partition: 0 }, [{ key: null, value: Buffer.from('a'), headers: [] }]);

    let crashed = () => {};
    const crash = new Promise<void>((resolve) => {
      crashed = resolve;
    });
    const broker = kafkaBroker({
      brokers: cluster.faulty,
      emit(event) {
        if (event.type === 'note' && event.message.startsWith('The Kafka consumer starts again')) crashed();
      },
    });
    await broker.connect();
    const watch = inbox();
    const consumer = broker.consumer({ topics: [topic], group, sessionTimeoutMs: 10_000 });
    try {
      // Asked for by nobody else than who finds out where to begin.
      const offsets = cluster.faults.hold({ api: 'ListOffsets', side: 'response' });
      await consumer.start(watch);
      await offsets.caught;
      // Until it has none left to try again with.
      let over = false;
      const struck = crash.then(() => {
        over = true;
      });
      while (!over) {
        const beat = cluster.faults.cut({ api: 'Heartbeat', side: 'response' });
        await Promise.race([beat.caught, struck]);
        beat.release();
      }
      offsets.release();
      await watch.until(({ records, failures }) => records.all.length > 0 || failures.length > 0);
      expect(watch.failures).toEqual([]);
      expect(watch.records.all.map(({ value }) => String(value))).toEqual(['a']);
    } finally {
      await consumer.stop();
      await broker.close();
    }
  });
});
