import type { Admin } from 'kafkajs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { headerText } from '#mner/stream/headers.js';
import { kafkaBroker } from '#mner/stream/kafka/broker.js';
import { Kafka, logLevel } from '#mner/stream/kafka/kafkajs.js';
import { text } from '../stream/names.js';
import { type Ledger, readWithKcat } from '../support/ledger.js';
import { seen } from '../support/seen.js';
import { eventually, tweet } from '../support/worker-stage.js';
import { stage } from './stage.js';
import { TWEETS } from './tweets.js';

/** Kafka's number of topics among the things that have a configuration. */
const TOPIC = 2;
const PARTITIONS = 2;
const LIMIT = 3000;
/** As an output it is larger than that. */
const LARGE = 'Kobe Bryant in Los Angeles, '.repeat(100);
/** What the ledger takes for no outcome. */
const PROBE = '#probe';

/** At least once, the same stands in `test/e2e/topics.test.ts`: there one broker is enough. */
describe('topics that fail a worker that delivers exactly once, on three brokers', { timeout: 180_000 }, () => {
  const on = stage(3);

  /** By a client that has heard of no topic: kafkajs answers for none any more once one that it knows is deleted. */
  const asStranger = async <T>(act: (admin: Admin) => Promise<T>): Promise<T> => {
    const admin = new Kafka({ brokers: on.cluster.direct, logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    return act(admin).finally(() => admin.disconnect());
  };

  const play = (record = TWEETS.record) => {
    const broker = kafkaBroker({ brokers: on.cluster.direct });
    onTestFinished(() => broker.close());
    return on.play('exactly_once', { broker, partitions: PARTITIONS, ...TWEETS, record });
  };

  /** Writes to each partition of a topic until its leader refuses it with this code: a broker hears of a change a moment later. */
  const changes = async (topic: string, code: string, change: (admin: Admin) => Promise<unknown>): Promise<void> => {
    const producer = await on.cluster.broker.producer();
    const probe = (partition: number) => producer.send({ topic, partition }, [text(PROBE.padEnd(2 * LIMIT, '.'))]);
    for (let partition = 0; partition < PARTITIONS; partition += 1) await probe(partition);
    await asStranger(change);
    for (let partition = 0; partition < PARTITIONS; partition += 1)
      await eventually(() =>
        probe(partition).then(
          () => false,
          (error: { code: string }) => error.code === code,
        ),
      );
    await producer.stop();
  };
  const remove = (topic: string) => changes(topic, 'topic_missing', (admin) => admin.deleteTopics({ topics: [topic] }));
  const make = (topic: string) =>
    asStranger((admin) =>
      admin.createTopics({
        topics: [{ topic, numPartitions: PARTITIONS, replicationFactor: 3 }],
        waitForLeaders: false,
      }),
    );

  const committed = ({ input, group }: Ledger): Promise<number[]> =>
    asStranger(async (admin) => {
      const [found] = await admin.fetchOffsets({ groupId: group, topics: [input] });
      const partitions = [...(found?.partitions ?? [])].sort((a, b) => a.partition - b.partition);
      return partitions.map(({ offset }) => Math.max(0, Number(offset)));
    });
  const becomes = (ledger: Ledger, wanted: readonly number[]) =>
    eventually(async () => (await committed(ledger)).join() === wanted.join());

  /** The ids of each partition of a topic that a reader of committed records sees, in order, by a client that is not ours. */
  const visible = async (topic: string): Promise<string[][]> => {
    const records = await readWithKcat(on.cluster.direct, [topic]);
    return Array.from({ length: PARTITIONS }, (_, partition) =>
      records.filter((one) => one.partition === partition).map(({ value }) => TWEETS.idOf(value)),
    );
  };
  const ids = (partition: number, ...numbers: readonly number[]) => numbers.map((number) => `${partition}:${number}`);

  it('fault 17: exactly once, the output topic goes away while it runs: fatal, exit code 4, nothing committed', async ({
    task,
  }) => {
    const { ledger, worker } = await play();
    const one = await worker({ MNER_START_FROM: 'earliest' });
    await ledger.feed(5);
    await ledger.all();
    await becomes(ledger, [5, 5]);
    await remove(ledger.output);
    await ledger.feed(5);
    expect(await one.ended).toBe(4);
    expect(one.log()).toMatch(/^mner: Cannot write to out-\S+, partition [01]: /m);
    expect(await committed(ledger)).toEqual([5, 5]);
    expect(await visible(ledger.dead)).toEqual([[], []]);
    await make(ledger.output);
    await worker();
    await becomes(ledger, [10, 10]);
    expect(await visible(ledger.output)).toEqual([ids(0, 5, 6, 8, 9), ids(1, 5, 6, 8, 9)]);
    expect(await visible(ledger.dead)).toEqual([ids(0, 7), ids(1, 7)]);
    seen(task, 'exactly_once, deleted while it runs: exit code 4, committed stays at 5 of 10; the next does each once');
  });

  it('fault 18: exactly once, an output that its topic does not take: a dead letter, and its lane goes on', async ({
    task,
  }) => {
    const { ledger, worker } = await play((id) =>
      id.endsWith(':3')
        ? { key: Buffer.from(id), value: Buffer.from(tweet(id, LARGE)), headers: [] }
        : TWEETS.record(id),
    );
    const configEntries = [{ name: 'max.message.bytes', value: String(LIMIT) }];
    const resources = [{ type: TOPIC, name: ledger.output, configEntries }];
    await changes(ledger.output, 'output_too_large', (admin) => admin.alterConfigs({ validateOnly: false, resources }));
    await worker({ MNER_START_FROM: 'earliest' });
    await ledger.feed(10);
    const { text } = await ledger.verify('exactly_once');
    const large = ledger.outcomes().filter(({ id }) => id.endsWith(':3'));
    expect(large.map(({ topic, record }) => [topic, headerText(record.headers, 'mner-error-code')])).toEqual([
      [ledger.dead, 'output_too_large'],
      [ledger.dead, 'output_too_large'],
    ]);
    seen(task, `exactly_once, max.message.bytes ${LIMIT}: one of each partition a dead letter; ${text}`);
  });

  it('fault 19: exactly once, the dead-letter topic is away: its lane waits, nothing is dropped, and it goes on', async ({
    task,
  }) => {
    const { ledger, worker } = await play();
    const one = await worker({ MNER_START_FROM: 'earliest' });
    await remove(ledger.dead);
    await ledger.feedOne(0, 10);
    await eventually(() => one.log().includes('Dead letters cannot be written'));
    // The other lane goes on while this one waits.
    for (let round = 1; round <= 5; round += 1) {
      await ledger.feedOne(1, 1);
      await eventually(async () => (await committed(ledger))[1] === round);
    }
    const [waiting] = await committed(ledger);
    expect(waiting).toBeLessThanOrEqual(7);
    expect((await fetch(`${one.url}/livez`)).status).toBe(200);
    await make(ledger.dead);
    await becomes(ledger, [10, 5]);
    expect(await visible(ledger.output)).toEqual([ids(0, 0, 1, 2, 3, 4, 5, 6, 8, 9), ids(1, 0, 1, 2, 3, 4)]);
    expect(await visible(ledger.dead)).toEqual([ids(0, 7), []]);
    seen(
      task,
      `exactly_once, three brokers: lane 0 stood at ${waiting} of 10 while lane 1 did 5; then each once, the dead letter too`,
    );
  });
});
