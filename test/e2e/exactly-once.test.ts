import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { kafkaBroker } from '#mner/stream/kafka/broker.js';
import type { Broker } from '#mner/stream/port.js';
import { inbox } from '../stream/inbox.js';
import { BROKERS, NO_SERVERS, TINY_WITH_SERVERS } from '../support/servers.js';
import { startWorker, type WorkerProcess } from '../support/worker-process.js';

const COUNT = 60;

describe.skipIf(NO_SERVERS)(`a worker that delivers exactly once${NO_SERVERS}`, () => {
  let broker: Broker;
  const workers: WorkerProcess[] = [];
  beforeAll(async () => {
    broker = kafkaBroker({ brokers: BROKERS.split(',') });
    await broker.connect();
  });
  afterAll(async () => {
    for (const worker of workers) await worker.stop('SIGKILL');
    await broker?.close();
  });

  it('gives each tweet one outcome, through a kill and a drain, and counts its transactions', async () => {
    const id = randomUUID();
    const [input, output, dead, group] = ['in', 'out', 'dead', 'group'].map((what) => `${what}-${id}`) as [
      string,
      string,
      string,
      string,
    ];
    await broker.createTopics([input, output, dead].map((topic) => ({ topic, partitions: 3 })));
    const env = {
      ...TINY_WITH_SERVERS,
      ...{ MNER_INPUT_TOPIC: input, MNER_OUTPUT_TOPIC: output, MNER_DEAD_LETTER_TOPIC: dead, MNER_GROUP: group },
      ...{ MNER_DELIVERY: 'exactly_once', MNER_COMMIT_EVERY_MS: '50', MNER_COMMIT_EVERY_RECORDS: '5' },
      ...{ MNER_SESSION_TIMEOUT_MS: '6000', MNER_DRAIN_TIMEOUT_MS: '5000', MNER_TRANSACTION_TIMEOUT_MS: '3000' },
    };
    const producer = await broker.producer();
    for (let partition = 0; partition < 3; partition += 1) {
      const tweets = Array.from({ length: COUNT / 3 }, (_, i) => {
        const tweet = i === 7 ? '{"id":' : JSON.stringify({ id: `${partition}-${i}`, text: 'Kobe Bryant in Oslo' });
        return { key: Buffer.from(`${partition}-${i}`), value: Buffer.from(tweet), headers: [] };
      });
      await producer.send({ topic: input, partition }, tweets);
    }
    const box = inbox();
    const reader = broker.consumer({ topics: [output, dead], group: `reader-${id}` });
    await reader.start(box);

    const first = await startWorker(env);
    workers.push(first);
    await box.until(({ records }) => records.all.length > 0);
    await first.stop('SIGKILL');
    const second = await startWorker(env);
    workers.push(second);
    await box.until(({ records }) => records.all.length >= COUNT);
    await producer.send({ topic: input, partition: 0 }, [{ key: null, value: null, headers: [] }]);
    await box.until(({ records }) => records.all.length >= COUNT + 1);
    expect(await (await fetch(`${second.url}/metrics`)).text()).toMatch(
      /mner_transactions_total\{[^}]*result="committed"[^}]*\} [1-9]/,
    );
    expect(await second.stop()).toBe(0);

    const keys = box.records.all.flatMap(({ key }) => (key === null ? [] : [String(key)]));
    expect(keys).toHaveLength(COUNT);
    expect(new Set(keys).size).toBe(COUNT);
    expect(box.records.all.filter(({ topic }) => topic === dead)).toHaveLength(3);
    const offsets = await broker.offsets(input, group);
    for (const { partition, committed } of offsets) expect(committed).toBe(BigInt(partition === 0 ? 21 : 20));
    await reader.stop();
  }, 120_000);
});
