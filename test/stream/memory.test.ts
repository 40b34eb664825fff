import { describe, expect, it } from 'vitest';
import { manualClock } from '#mner/clock.js';
import { type MemoryBroker, memoryBroker } from '#mner/stream/memory.js';
import { silent } from '#mner/telemetry/events.js';
import { brokerConformance } from './broker-conformance.js';
import { inbox } from './inbox.js';

brokerConformance('memory', {
  open: async (emit = silent) => memoryBroker({ emit }),
  trim: async (broker, topic, before) => (broker as MemoryBroker).trim(topic, 0, before),
  async createCompacted(broker, topic) {
    await broker.createTopics([{ topic, partitions: 1 }]);
    (broker as MemoryBroker).compact(topic);
  },
});

describe('what only the in-memory broker can', () => {
  const value = (text: string) => ({ value: Buffer.from(text) });

  it('is written and read without producer and consumer', async () => {
    const broker = memoryBroker({ clock: manualClock(1000) });
    await broker.createTopics([{ topic: 't', partitions: 2 }]);
    expect(broker.append('t', value('a'), value('b'), { ...value('c'), partition: 1 })).toBe(0n);
    expect(broker.read('t').map(({ partition, offset, timestamp }) => [partition, offset, timestamp])).toEqual([
      [0, 0n, 1000],
      [0, 1n, 1000],
      [1, 0n, 1000],
    ]);
    expect(broker.read('t', 1)).toHaveLength(1);
    expect(() => broker.append('absent', value('a'))).toThrow('The topic absent does not exist.');
  });

  it('tells of writes until asked to stop', async () => {
    const broker = memoryBroker();
    await broker.createTopics([{ topic: 't', partitions: 1 }]);
    const seen: string[] = [];
    const end = broker.onAppend('t', (records) => seen.push(...records.map((one) => String(one.value))));
    broker.append('t', value('a'));
    end();
    broker.append('t', value('b'));
    expect(seen).toEqual(['a']);
  });

  it('keeps offsets when records are trimmed or left out', async () => {
    const broker = memoryBroker();
    await broker.createTopics([{ topic: 't', partitions: 1 }]);
    broker.append('t', value('a'), value('b'));
    broker.skip('t', 0, 3);
    broker.append('t', value('c'));
    broker.trim('t', 0, 1n);
    const box = inbox();
    const consumer = broker.consumer({ topics: ['t'], group: 'g' });
    await consumer.start(box);
    await box.until(({ records }) => records.all.length === 2);
    expect(box.records.all.map(({ offset }) => offset)).toEqual([1n, 5n]);
    expect(box.ends).toEqual([6n]);
    await consumer.stop();
  });
});
