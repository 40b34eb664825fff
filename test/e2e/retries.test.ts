import { afterEach, describe, expect, it } from 'vitest';
import { MnerError } from '#mner/errors.js';
import { freePorts } from '#mner/local/ports.js';
import { atLeastOnce } from '#mner/stream/at-least-once.js';
import { exactlyOnce } from '#mner/stream/exactly-once.js';
import { headerText } from '#mner/stream/headers.js';
import { createLanes, type Lanes } from '#mner/stream/lanes.js';
import type { Headers, InputRecord } from '#mner/stream/port.js';
import { waitMsOf } from '#mner/stream/retry-topic.js';
import { type Inbox, inbox } from '../stream/inbox.js';
import { freshName } from '../stream/names.js';
import { output } from '../stream/records.js';
import type { DeliveryMode } from '../support/member.js';
import { NO_SERVERS } from '../support/servers.js';
import { eventually, tweet, type WorkerStage, workerStage } from '../support/worker-stage.js';

const BOTH: readonly DeliveryMode[] = ['at_least_once', 'exactly_once'];
const KEY = Buffer.from([0, 1, 0xff]);
const HEADERS: Headers = [
  ['x-own', Buffer.from([0xde, 0xad])],
  ['x-own', Buffer.from('twice')],
];

/** A retry topic beside the others, and a reader of it. */
async function retryTopic({ broker }: WorkerStage): Promise<{ topic: string; box: Inbox }> {
  const topic = freshName('retry');
  await broker.createTopics([{ topic, partitions: 1 }]);
  const box = inbox();
  await broker.consumer({ topics: [topic], group: freshName('reader') }).start(box);
  return { topic, box };
}

/** The first record of the input: with a key, and headers of its own. */
async function sendFirst({ broker, topics }: WorkerStage, value: string): Promise<void> {
  const producer = await broker.producer();
  await producer.send({ topic: topics.input, partition: 0 }, [
    { key: KEY, value: Buffer.from(value), headers: HEADERS },
  ]);
}

function expectPutOff({ key, value, headers }: InputRecord, sent: string, input: string, attempts: string): void {
  expect([key, String(value)]).toEqual([KEY, sent]);
  expect(headers.filter(([name]) => !name.startsWith('mner-'))).toEqual(HEADERS);
  const ours = ['mner-error-code', 'mner-source-topic', 'mner-source-partition', 'mner-source-offset', 'mner-attempts'];
  expect(ours.map((name) => headerText(headers, name))).toEqual(['picture_unavailable', input, '0', '0', attempts]);
}

const notBefore = ({ headers }: InputRecord) => Date.parse(headerText(headers, 'mner-not-before') ?? '');

describe.skipIf(NO_SERVERS)(`a retry topic on a real Kafka${NO_SERVERS}`, { timeout: 120_000 }, () => {
  let lanes: Lanes | undefined;
  afterEach(() => lanes?.stop());

  it.each(BOTH)(
    'a record that fails for now past its time goes there as it came, is read again after the delay, and is out once (%s)',
    async (delivery) => {
      const stage = await workerStage();
      const { broker, topics, group } = stage;
      const { topic, box } = await retryTopic(stage);
      const retry = { topic, delayMs: 2000, attempts: 3 };
      const limits = { retryBudgetMs: 500, commitEveryMs: 50 };
      const began: { topic: string; at: number }[] = [];
      const failures: MnerError[] = [];
      const consumer = broker.consumer({ topics: [topics.input, topic], group });
      const shared = {
        topics: { output: topics.output, deadLetters: topics.dead, retry },
        partitionsOf: () => 1,
      };
      lanes = createLanes({
        consumer,
        async process(record) {
          if (String(record.value) !== 'ill') return output(record);
          began.push({ topic: record.topic, at: Date.now() });
          if (record.topic === topics.input) throw new MnerError('picture_unavailable');
          return output(record, { value: Buffer.from('well again') });
        },
        delivery:
          delivery === 'exactly_once'
            ? exactlyOnce({ ...shared, broker, consumer, group, timeoutMs: 10_000 })
            : atLeastOnce({ ...shared, producer: await broker.producer(), retryBudgetMs: limits.retryBudgetMs }),
        failed: (error) => failures.push(error),
        limits,
        waitMs: (record) => waitMsOf(record, retry, Date.now()),
      });
      await sendFirst(stage, 'ill');
      await stage.send(0, 'neighbour');
      await lanes.start();

      const out = () => stage.outputs.records.all.map(({ value }) => String(value));
      await stage.outputs.until(() => out().includes('well again'));
      const [put, none] = box.records.all as [InputRecord, InputRecord?];
      expect(none).toBeUndefined();
      expectPutOff(put, 'ill', topics.input, '1');
      // In place for its time, once more after the delay, and nothing in between.
      const inPlace = began.filter((one) => one.topic === topics.input);
      expect(inPlace.length).toBeGreaterThan(1);
      expect((inPlace.at(-1)?.at ?? 0) - (inPlace[0]?.at ?? 0)).toBeGreaterThanOrEqual(limits.retryBudgetMs - 20);
      const [again, ...more] = began.filter((one) => one.topic === topic);
      expect(more).toEqual([]);
      expect(notBefore(put)).toBeGreaterThanOrEqual((inPlace.at(-1)?.at ?? 0) + retry.delayMs);
      expect(again?.at).toBeGreaterThanOrEqual(notBefore(put) - 20);
      // It holds up its neighbour for its time in place alone.
      expect(out()[0]).toBe('out 0:1');
      const committed = async (of: string) => (await broker.offsets(of, group))[0]?.committed ?? 0n;
      await eventually(async () => (await committed(topics.input)) === 2n && (await committed(topic)) > 0n);
      await stage.quiet();
      expect([out(), stage.dead.records.all, failures]).toEqual([['out 0:1', 'well again'], [], []]);
    },
  );

  it.each(BOTH)(
    'a worker puts a tweet off by it while its picture is away, and reads it as text the last time, once (%s)',
    async (delivery) => {
      const stage = await workerStage();
      const { topic, box } = await retryTopic(stage);
      const away = `127.0.0.1:${(await freePorts(1))[0]}`;
      const worker = await stage.worker({
        MNER_DELIVERY: delivery,
        MNER_IMAGE_ALLOW: away,
        MNER_IMAGE_BUDGET_MS: '60000',
        MNER_IMAGE_MISSING: 'retry',
        MNER_RETRY_TOPIC: topic,
        MNER_RETRY_DELAY_MS: '1000',
        MNER_RETRY_ATTEMPTS: '3',
      });
      const put = tweet('put off', 'Kobe Bryant', { media: [{ type: 'photo', url: `http://${away}/a.jpg` }] });
      await sendFirst(stage, put);
      await stage.send(0, tweet('next'));
      await stage.out('next');
      const record = await stage.out('put off');
      expect(box.records.all).toHaveLength(2);
      box.records.all.forEach((one, at) => {
        expectPutOff(one, put, stage.topics.input, String(at + 1));
      });
      const [first, second] = box.records.all as [InputRecord, InputRecord];
      // The second time is made after the first is over, by a broker's clock and a worker's, which are one here.
      expect(notBefore(second)).toBeGreaterThanOrEqual(notBefore(first) + 1000);
      expect(record.key).toEqual(KEY);
      expect(headerText(record.headers, 'mner-source')).toBe(`${stage.topics.input}/0/0`);
      expect(JSON.parse(String(record.value))).toMatchObject({
        image: { status: 'unreachable' },
        source: { topic: stage.topics.input, partition: 0, offset: '0' },
      });
      const retries = async () => (await stage.broker.offsets(topic, stage.group))[0]?.committed ?? 0n;
      // Behind its two records; a transaction leaves its own mark behind each.
      await eventually(async () => (await stage.committed())[0] === 2 && (await retries()) > second.offset);
      expect(await worker.stop()).toBe(0);
      expect([stage.outputs.records.all.length, stage.dead.records.all]).toEqual([2, []]);
    },
  );
});
