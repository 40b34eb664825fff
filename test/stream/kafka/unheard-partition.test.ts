import { describe, expect, it, onTestFinished } from 'vitest';
import { atLeastOnce } from '#mner/stream/at-least-once.js';
import { exactlyOnce } from '#mner/stream/exactly-once.js';
import { kafkaBroker } from '#mner/stream/kafka/broker.js';
import { Kafka, logLevel } from '#mner/stream/kafka/kafkajs.js';
import { createLanes } from '#mner/stream/lanes.js';
import type { Event } from '#mner/telemetry/events.js';
import { readWithKcat } from '../../support/ledger.js';
import { LONG, seen } from '../../support/seen.js';
import { BROKERS, NO_SERVERS } from '../../support/servers.js';
import { eventually } from '../../support/worker-stage.js';
import { freshStream, text } from '../names.js';

describe.skipIf(NO_SERVERS)(`lanes on a real Kafka${NO_SERVERS}`, { timeout: 120_000 }, () => {
  it.runIf(LONG).for(['at_least_once', 'exactly_once'])(
    'fault 20: the output has grown and its client has not heard of that: the lane waits, and goes on by itself: %s',
    async (delivery, { task }) => {
      const brokers = BROKERS.split(',');
      const broker = kafkaBroker({ brokers });
      const admin = new Kafka({ brokers, logLevel: logLevel.NOTHING }).admin();
      await admin.connect();
      const { input, output, dead, group } = freshStream();
      await broker.createTopics([
        { topic: input, partitions: 2 },
        { topic: output, partitions: 1 },
        { topic: dead, partitions: 1 },
      ]);
      const events: Event[] = [];
      const consumer = broker.consumer({ topics: [input], group });
      const shared = {
        topics: { output, deadLetters: dead },
        // As a worker has it that asked a broker which knows the second partition already.
        partitionsOf: (topic: string) => (topic === output ? 2 : 1),
        emit: (event: Event) => void events.push(event),
      };
      const lanes = createLanes({
        consumer,
        process: async ({ value }) => ({ kind: 'output', value, headers: [] }),
        delivery:
          delivery === 'at_least_once'
            ? atLeastOnce({ ...shared, producer: await broker.producer() })
            : exactlyOnce({ ...shared, broker, consumer, group, timeoutMs: 10_000 }),
        failed: (error) => {
          throw error;
        },
        emit: shared.emit,
      });
      onTestFinished(async () => {
        await lanes.stop();
        await admin.disconnect();
        await broker.close();
      });
      await lanes.start();
      const producer = await broker.producer();
      for (const partition of [0, 1]) await producer.send({ topic: input, partition }, [text(`of ${partition}`)]);
      const committed = async () => (await broker.offsets(input, group)).map((one) => Number(one.committed ?? 0n));
      const untold = (event: Event) => event.type === 'note' && event.message.includes('do not tell the client');
      await eventually(async () => events.some(untold) && (await committed()).join() === '1,0');
      await admin.createPartitions({ topicPartitions: [{ topic: output, count: 2 }] });
      const grown = performance.now();
      await eventually(async () => (await committed()).join() === '1,1');
      const seconds = ((performance.now() - grown) / 1000).toFixed(1);
      const found = await readWithKcat(brokers, [output, dead]);
      expect(found.map(({ topic, partition, value }) => [topic, partition, value])).toEqual([
        [output, 0, 'of 0'],
        [output, 1, 'of 1'],
      ]);
      seen(task, `${delivery}: a lane whose output partition the client had not heard of went on after ${seconds} s`);
    },
  );
});
