import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { kafkaBroker } from '#mner/stream/kafka/broker.js';
import { gathering, type Share } from '#mner/stream/kafka/gathering.js';
import { Kafka, logLevel } from '#mner/stream/kafka/kafkajs.js';
import type { OutputRecord, Producer } from '#mner/stream/port.js';
import { type FaultCluster, startFaultCluster } from '../../support/fault-cluster.js';
import { readWithKcat } from '../../support/ledger.js';
import { NO_SERVERS } from '../../support/servers.js';
import { eventually } from '../../support/worker-stage.js';
import { freshName, text } from '../names.js';

/** A log that writes as it is told to, by the number of the request. */
function log(outcomes: Readonly<Record<number, Error>> = {}, taken: readonly number[] = []) {
  const requests: string[] = [];
  const send = gathering({
    async write(topic: string, shares: readonly Share[]) {
      requests.push(`${topic}:${shares.map(({ partition }) => partition).join()}`);
      const error = outcomes[requests.length];
      if (error) throw error;
    },
    taken: (error) => ((error as Error).message === 'no answer' ? undefined : new Set(taken)),
    // Even partitions are led by one broker, odd ones by another, and of those from 90 on nobody knows.
    leaderOf: ({ partition }) => (partition < 90 ? partition % 2 : undefined),
  });
  const all = (partitions: readonly number[], records = [text('x')]) =>
    Promise.allSettled(partitions.map((partition) => send({ topic: 't', partition }, records))).then((found) =>
      found.map(({ status }) => status === 'fulfilled'),
    );
  return { requests, all };
}

describe('writes of one turn', () => {
  it('go together by broker; one whose leader nobody knows goes by itself', async () => {
    const { requests, all } = log();
    expect(await all([0, 1, 2, 3, 91])).toEqual(Array(5).fill(true));
    expect(requests.sort()).toEqual(['t:0,2', 't:1,3', 't:91']);
  });

  it('of one partition never share a request, nor do more than 512 records or a mebibyte', async () => {
    const { requests, all } = log();
    await all([0, 0, 2]);
    expect(requests).toEqual(['t:0,2', 't:0']);
    await all([0, 2, 4], Array(200).fill(text('x')));
    expect(requests.slice(2)).toEqual(['t:0,2', 't:4']);
    await all([0, 2, 4], [text('x'.repeat(500_000))]);
    expect(requests.slice(4)).toEqual(['t:0,2', 't:4']);
  });

  it('after an answer that refuses some, the others are done, and the refused ones go alone until they are written', async () => {
    const { requests, all } = log({ 1: new Error('refused'), 2: new Error('refused'), 3: new Error('refused') }, [2]);
    expect(await all([0, 2, 4])).toEqual([false, true, false]);
    expect(requests).toEqual(['t:0,2,4', 't:0', 't:4']);
    expect(await all([0, 2, 4, 6])).toEqual(Array(4).fill(true));
    expect(requests.slice(3).sort()).toEqual(['t:0', 't:2,6', 't:4']);
    expect(await all([0, 2, 4])).toEqual(Array(3).fill(true));
    expect(requests.slice(6)).toEqual(['t:0,2,4']);
  });

  it('without an answer are not written again unasked: their lanes look first whether the partition is still theirs', async () => {
    const { requests, all } = log({ 1: new Error('no answer') });
    expect(await all([0, 2])).toEqual([false, false]);
    expect(requests).toEqual(['t:0,2']);
    expect(await all([0, 2])).toEqual([true, true]);
    expect(requests.slice(1)).toEqual(['t:0', 't:2']);
  });
});

describe.skipIf(NO_SERVERS)(`writes to many partitions, with a real Kafka${NO_SERVERS}`, { timeout: 120_000 }, () => {
  let cluster: FaultCluster;
  let producer: Producer;
  const TWELVE = Array.from({ length: 12 }, (_, partition) => partition);

  beforeAll(async () => {
    cluster = await startFaultCluster({
      nodes: 3,
      // Nobody dies here, and one who stands still for two seconds is not to lose its leaders.
      properties: { 'broker.session.timeout.ms': '9000', 'broker.heartbeat.interval.ms': '2000' },
    });
    const broker = kafkaBroker({ brokers: cluster.faulty, clientId: 'writer' });
    producer = await broker.producer();
    return () => broker.close();
  }, 120_000);
  afterAll(() => cluster?.stop());

  const requests = () => cluster.faults.count({ api: 'Produce', side: 'request', client: 'writer' });

  /** One record to each of these partitions, all in one turn; what became of each. */
  const writeAll = (topic: string, partitions: readonly number[], of: (partition: number) => OutputRecord) =>
    Promise.allSettled(partitions.map((partition) => producer.send({ topic, partition }, [of(partition)])));

  /** A topic whose leaders the producer has heard of. */
  const known = async (topic: string, of: (partition: number) => OutputRecord) => {
    await eventually(async () => {
      const before = requests();
      const found = await writeAll(topic, TWELVE, of);
      expect(found.every(({ status }) => status === 'fulfilled')).toBe(true);
      return requests() - before <= 3;
    });
    return topic;
  };

  const created = async (settings: Record<string, string> = {}) => {
    const topic = freshName('gathered');
    const admin = new Kafka({ brokers: cluster.direct, logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    const configEntries = Object.entries(settings).map(([name, value]) => ({ name, value }));
    await admin.createTopics({ topics: [{ topic, numPartitions: 12, replicationFactor: 3, configEntries }] });
    await admin.disconnect();
    return topic;
  };

  /** How often each value of this round stands in the topic, by partition. */
  const read = async (topic: string, round: string) => {
    const found = await readWithKcat(cluster.direct, [topic]);
    return TWELVE.map((one) => found.filter(({ partition, value }) => partition === one && value === round).length);
  };

  it('go in one request for each broker, once it is known who leads what', async () => {
    const topic = await known(await created(), () => text('before'));
    const before = requests();
    await writeAll(topic, TWELVE, () => text('round'));
    expect(requests() - before).toBe(3);
    expect(await read(topic, 'round')).toEqual(TWELVE.map(() => 1));
  });

  it('one partition refuses its record: it alone hears of it, and nothing is written twice', async () => {
    const keyed = (value: string) => text(value, [], 'key');
    const topic = await known(await created({ 'cleanup.policy': 'compact' }), () => keyed('before'));
    const found = await writeAll(topic, TWELVE, (partition) => (partition === 5 ? text('round') : keyed('round')));
    expect(found.map(({ status }) => status)).toEqual(TWELVE.map((one) => (one === 5 ? 'rejected' : 'fulfilled')));
    expect(found[5]).toMatchObject({ reason: { code: 'output_refused' } });
    expect(await read(topic, 'round')).toEqual(TWELVE.map((one) => (one === 5 ? 0 : 1)));
  });

  it('two that go to the same partition in one turn are both written', async () => {
    const topic = await known(await created(), () => text('before'));
    await writeAll(topic, [3, 3, 4], () => text('round'));
    expect((await read(topic, 'round')).slice(3, 5)).toEqual([2, 1]);
  });

  it('a broker that is lost with a request costs the lanes of the others nothing, and its own no record', async () => {
    const topic = await known(await created(), () => text('before'));
    const trap = cluster.faults.swallow({ api: 'Produce', side: 'request', client: 'writer' });
    onTestFinished(() => trap.release());
    const done: number[] = [];
    const all = TWELVE.map((partition) =>
      producer.send({ topic, partition }, [text('round')]).then(() => void done.push(partition)),
    );
    await trap.caught;
    await eventually(async () => done.length === 8);
    trap.sever();
    await Promise.all(all);
    expect(await read(topic, 'round')).toEqual(TWELVE.map(() => 1));
  });
});
