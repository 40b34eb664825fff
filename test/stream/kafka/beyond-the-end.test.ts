import { expect, it, onTestFinished } from 'vitest';
import { kafkaBroker } from '#mner/stream/kafka/broker.js';
import { Kafka, logLevel } from '#mner/stream/kafka/kafkajs.js';
import type { OutOfRange } from '#mner/stream/port.js';
import type { Event } from '#mner/telemetry/events.js';
import { seen } from '../../support/seen.js';
import { BROKERS, NO_SERVERS } from '../../support/servers.js';
import { eventually } from '../../support/worker-stage.js';
import { inbox } from '../inbox.js';
import { freshName, text } from '../names.js';

/** Where nothing of the log lies, as after it was cut behind the group's back. */
const BEYOND = 100n;

it.skipIf(NO_SERVERS).for<OutOfRange>(['earliest', 'latest', 'fail'])(
  'fault 21: a committed offset beyond the end of the log: %s',
  { timeout: 60_000 },
  async (outOfRange, { task }) => {
    const brokers = BROKERS.split(',');
    const events: Event[] = [];
    const broker = kafkaBroker({ brokers, emit: (event) => void events.push(event) });
    const admin = new Kafka({ brokers, logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    onTestFinished(async () => {
      await admin.disconnect();
      await broker.close();
    });
    const [topic, group] = [freshName('in'), freshName('group')];
    const to = { topic, partition: 0 };
    await broker.createTopics([{ topic, partitions: 1 }]);
    const producer = await broker.producer();
    await producer.send(
      to,
      ['a', 'b', 'c'].map((value) => text(value)),
    );
    await admin.setOffsets({ groupId: group, topic, partitions: [{ partition: 0, offset: String(BEYOND) }] });
    const committed = async () => (await broker.offsets(topic, group))[0]?.committed;
    const told = () => events.filter((event) => event.type === 'offset_reset');
    const box = inbox();
    const values = () => box.records.all.map(({ value }) => String(value));
    // A group that begins at the end must not take the lost place for no place.
    const consumer = broker.consumer({ topics: [topic], group, from: 'latest', outOfRange, sessionTimeoutMs: 6000 });
    await consumer.start(box);
    if (outOfRange === 'fail') {
      await box.until(({ failures }) => failures.length > 0);
      expect(box.failures[0]).toMatchObject({ code: 'offset_out_of_range', class: 'fatal' });
      expect(box.failures[0]?.message).toMatch(
        new RegExp(`^Offset ${BEYOND} of ${topic}, partition 0, is not in the log`),
      );
      expect(values()).toEqual([]);
    } else {
      // At the end there is nothing to hand over until more comes.
      if (outOfRange === 'latest')
        await eventually(async () => {
          await producer.send(to, [text('later')]);
          return box.records.all.length > 0;
        });
      else await box.until(({ records }) => records.all.length === 3);
      if (outOfRange === 'earliest') expect(values()).toEqual(['a', 'b', 'c']);
      else expect(new Set(values())).toEqual(new Set(['later']));
      expect(told()).toEqual([
        { type: 'offset_reset', ...to, from: BEYOND, to: box.records.all[0]?.offset, policy: outOfRange },
      ]);
    }
    await consumer.stop();
    // Until somebody decides; or where reading went on, not a place that is none.
    expect(await committed()).toBe(outOfRange === 'fail' ? BEYOND : box.records.all[0]?.offset);
    seen(
      task,
      `Kafka, ${outOfRange}: offset ${BEYOND} beyond the end, ${outOfRange === 'fail' ? 'fatal' : `on at ${box.records.all[0]?.offset}`}`,
    );
  },
);
