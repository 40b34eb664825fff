import { type AddressInfo, createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { manualClock } from '#mner/clock.js';
import { COMPRESSIONS, kafkaBroker } from '#mner/stream/kafka/broker.js';
import { Kafka, logLevel } from '#mner/stream/kafka/kafkajs.js';
import type { Broker } from '#mner/stream/port.js';
import { silent } from '#mner/telemetry/events.js';
import { brokerConformance } from './broker-conformance.js';
import { inbox } from './inbox.js';
import { freshName, text } from './names.js';

const brokers = process.env.MNER_TEST_BROKERS?.split(',').filter(Boolean) ?? [];

if (brokers.length > 0)
  brokerConformance('Kafka', {
    open: async (emit = silent) => kafkaBroker({ brokers, emit }),
    async trim(_broker, topic, before) {
      const admin = new Kafka({ brokers, logLevel: logLevel.NOTHING }).admin();
      await admin.connect();
      // Or kafkajs does not know who leads the topic.
      await admin.fetchTopicOffsets(topic);
      await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: String(before) }] });
      await admin.disconnect();
    },
    // With its configuration from the start: a broker learns of a change a moment after it is acknowledged.
    async createCompacted(broker, topic) {
      const admin = new Kafka({ brokers, logLevel: logLevel.NOTHING }).admin();
      await admin.connect();
      const configEntries = [{ name: 'cleanup.policy', value: 'compact' }];
      await admin.createTopics({ topics: [{ topic, numPartitions: 1, configEntries }], waitForLeaders: false });
      await admin.disconnect();
      while ((await broker.offsets(topic, freshName('group')).catch(() => [])).length === 0);
    },
  });

const absent = brokers.length === 0;
describe.skipIf(absent)(absent ? 'Kafka: skipped, since MNER_TEST_BROKERS is not set' : 'Kafka', () => {
  let broker: Broker;
  beforeAll(async () => {
    broker = kafkaBroker({ brokers });
    await broker.connect();
  });
  afterAll(() => broker?.close());

  it.each(COMPRESSIONS)('writes and reads records with compression %s', async (compression) => {
    const packing = kafkaBroker({ brokers, compression });
    const topic = freshName('packed');
    await broker.createTopics([{ topic, partitions: 1, replicas: 1 }]);
    const producer = await packing.producer();
    const values = Array.from({ length: 50 }, (_, i) => `${i} ${'the same again '.repeat(i)}`);
    await producer.send(
      { topic, partition: 0 },
      values.map((value) => text(value)),
    );
    const box = inbox();
    const consumer = packing.consumer({ topics: [topic], group: freshName('group') });
    await consumer.start(box);
    await box.until(({ records }) => records.all.length === values.length);
    expect(box.records.all.map(({ value }) => String(value))).toEqual(values);
    await packing.close();
  });

  it('shares twelve partitions among four members, three each, and four each when one leaves; every id comes out', async () => {
    const topic = freshName('shared');
    await broker.createTopics([{ topic, partitions: 12, replicas: 1 }]);
    const group = freshName('group');
    const boxes = Array.from({ length: 4 }, () => inbox());
    const members = boxes.map(() => broker.consumer({ topics: [topic], group }));
    const held = (count: number, of = boxes) =>
      Promise.all(of.map((box) => box.until(({ partitions }) => partitions?.length === count)));
    await Promise.all(members.map((member, i) => member.start(boxes[i]!)));
    await held(3);
    const producer = await broker.producer();
    const send = (round: string) =>
      Promise.all(
        Array.from({ length: 12 }, (_, partition) =>
          producer.send({ topic, partition }, [text(`${round}-${partition}`)]),
        ),
      );
    const ids = () => new Set(boxes.flatMap(({ records }) => records.all.map(({ value }) => String(value))));
    const out = async (count: number) => {
      while (ids().size < count) await Promise.race(boxes.map((box) => box.until(grown(box))));
    };
    const grown = ({ records }: ReturnType<typeof inbox>) => {
      const before = records.all.length;
      return (now: ReturnType<typeof inbox>) => now.records.all.length > before;
    };
    await send('first');
    await out(12);
    await members[0]?.stop();
    await held(4, boxes.slice(1));
    await send('second');
    await out(24);
    expect(boxes.slice(1).map(({ partitions }) => partitions?.length)).toEqual([4, 4, 4]);
    expect(boxes.flatMap(({ failures }) => failures)).toEqual([]);
    await Promise.all(members.map((member) => member.stop()));
  }, 90_000);

  it('stops within a second while it waits for records', async () => {
    const topic = freshName('idle');
    await broker.createTopics([{ topic, partitions: 1, replicas: 1 }]);
    const stop = async () => {
      const consumer = broker.consumer({ topics: [topic], group: freshName('group') });
      await consumer.start(inbox());
      const began = performance.now();
      await consumer.stop();
      return performance.now() - began;
    };
    // One that waits for its fetch takes five seconds each time; on a busy machine one of these is quick all the same.
    let quickest = Number.POSITIVE_INFINITY;
    for (let time = 0; quickest >= 1000 && time < 20; time += 1) quickest = Math.min(quickest, await stop());
    expect(quickest).toBeLessThan(1000);
  }, 240_000);
});

describe('a Kafka that is not there', () => {
  it('is one sentence that names the address', async () => {
    const broker = kafkaBroker({ brokers: ['127.0.0.1:1'] });
    const connected = broker.connect();
    await expect(connected).rejects.toMatchObject({ code: 'broker_unreachable' });
    await expect(connected).rejects.toThrow(/^Cannot reach Kafka at 127\.0\.0\.1:1: .*ECONNREFUSED.*\.$/);
    await expect(broker.producer()).rejects.toMatchObject({ code: 'broker_unreachable' });
    const consumer = broker.consumer({ topics: ['t'], group: 'g' });
    await expect(consumer.start(inbox())).rejects.toMatchObject({ code: 'broker_unreachable' });
    await broker.close();
  });

  it('is told within the deadline when something accepts and never answers', async () => {
    const clock = manualClock();
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const accepted = new Promise((resolve) => server.once('connection', resolve));
    const broker = kafkaBroker({ brokers: [`127.0.0.1:${port}`], clock });
    const connected = broker.connect();
    await accepted;
    clock.advance(10_000);
    await expect(connected).rejects.toMatchObject({ code: 'broker_unreachable' });
    await expect(connected).rejects.toThrow('no answer within 10 seconds');
    await broker.close();
    server.close();
  });
});
