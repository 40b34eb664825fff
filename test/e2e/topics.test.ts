import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { headerText } from '#mner/stream/headers.js';
import { kafkaBroker } from '#mner/stream/kafka/broker.js';
import { inbox } from '../stream/inbox.js';
import { freshName } from '../stream/names.js';
import { LONG, seen } from '../support/seen.js';
import { BROKERS, NO_SERVERS } from '../support/servers.js';
import { mner } from '../support/worker-process.js';
import { eventually, metric, tweet, type WorkerStage, workerStage } from '../support/worker-stage.js';

/** Kafka's number of topics among the things that have a configuration. */
const TOPIC = 2;

async function configure({ admin }: WorkerStage, topic: string, name: string, value: string): Promise<void> {
  const resources = [{ type: TOPIC, name: topic, configEntries: [{ name, value }] }];
  await admin.alterConfigs({ validateOnly: false, resources });
}

describe.skipIf(NO_SERVERS)(`topics that are not as a worker needs them${NO_SERVERS}`, { timeout: 120_000 }, () => {
  it('fault 17: the output topic goes away while it runs: fatal, exit code 4, nothing committed', async ({ task }) => {
    const stage = await workerStage();
    const worker = await stage.worker();
    await stage.send(0, tweet('before'));
    await stage.out('before');
    await eventually(async () => (await stage.committed())[0] === 1);
    await stage.admin.deleteTopics({ topics: [stage.topics.output] });
    await stage.send(0, tweet('after'));
    expect(await worker.ended).toBe(4);
    expect(worker.log()).toMatch(/^mner: Cannot write to out-\S+, partition 0: /m);
    expect(worker.log()).not.toMatch(/^ {4}at /m);
    expect(await stage.committed()).toEqual([1]);
    seen(task, 'deleted while it runs: exit code 4, committed stays at 1 of 2');
  });

  it.for(['at_least_once', 'exactly_once'])(
    'fault 17: the input topic goes away while it runs (%s): exit code 4, where it once waited for ever',
    async (delivery, { task }) => {
      const stage = await workerStage();
      const worker = await stage.worker({ MNER_DELIVERY: delivery, MNER_START_FROM: 'earliest' });
      await stage.send(0, tweet('before'));
      await stage.out('before');
      await eventually(async () => (await stage.committed())[0] === 1);
      await stage.admin.deleteTopics({ topics: [stage.topics.input] });
      expect(await worker.ended).toBe(4);
      expect(worker.log()).toMatch(/^mner: The input topic in-\S+ does not exist.* Create what is missing: /m);
      expect(worker.log()).not.toMatch(/^ {4}at /m);
      seen(task, `the input deleted while it runs, ${delivery}: exit code 4, one sentence that names it`);
    },
  );

  it('fault 18: an output that its topic does not take: a dead letter, and the lane goes on', async ({ task }) => {
    const stage = await workerStage();
    await configure(stage, stage.topics.output, 'max.message.bytes', '3000');
    await stage.worker();
    await stage.send(0, tweet('a'), tweet('large', 'Kobe Bryant in Los Angeles, '.repeat(100)), tweet('b'));
    await stage.out('b');
    await stage.dead.until(({ records }) => records.all.length > 0);
    const [letter] = stage.dead.records.all;
    expect(headerText(letter?.headers ?? [], 'mner-error-code')).toBe('output_too_large');
    expect(JSON.parse(String(letter?.value))).toMatchObject({ id: 'large' });
    await eventually(async () => (await stage.committed())[0] === 3);
    expect(stage.outputs.records.all).toHaveLength(2);
    seen(task, 'max.message.bytes 3000: 1 of 3 a dead letter (output_too_large), its neighbours out, all committed');
  });

  it.for(['at_least_once', 'exactly_once'])(
    'fault 18: a record without a key does not block its partition for ever where the output is compacted (%s)',
    async (delivery, { task }) => {
      const stage = await workerStage();
      await configure(stage, stage.topics.output, 'cleanup.policy', 'compact');
      await stage.worker({ MNER_DELIVERY: delivery, MNER_START_FROM: 'earliest' });
      const key = Buffer.from('user-1');
      const producer = await stage.broker.producer();
      await producer.send({ topic: stage.topics.input, partition: 0 }, [
        { key, value: Buffer.from(tweet('a')), headers: [] },
        { key: null, value: Buffer.from(tweet('keyless')), headers: [] },
        { key, value: Buffer.from(tweet('b')), headers: [] },
      ]);
      await stage.out('b');
      await stage.dead.until(({ records }) => records.all.length > 0);
      const [letter] = stage.dead.records.all;
      expect(headerText(letter?.headers ?? [], 'mner-error-code')).toBe('output_refused');
      expect(headerText(letter?.headers ?? [], 'mner-error-message')).toMatch(
        /`cleanup\.policy` is `compact`, it takes none without a key/,
      );
      expect(JSON.parse(String(letter?.value))).toMatchObject({ id: 'keyless' });
      await eventually(async () => Number((await stage.committed())[0]) === 3);
      expect(stage.outputs.records.all).toHaveLength(2);
      seen(task, `compacted, ${delivery}: the one without a key a dead letter (output_refused), its neighbours out`);
    },
  );

  it.for(['at_least_once', 'exactly_once'])(
    'fault 19: the dead letters are compacted and one has no key (%s): the lane waits, says why, and goes on',
    async (delivery, { task }) => {
      const stage = await workerStage();
      await configure(stage, stage.topics.dead, 'cleanup.policy', 'compact');
      const worker = await stage.worker({ MNER_DELIVERY: delivery, MNER_START_FROM: 'earliest' });
      await stage.send(0, '{', tweet('after'));
      await eventually(() => /Dead letters cannot be written.*`cleanup\.policy`/.test(worker.log()));
      expect(await stage.committed()).toEqual([0]);
      await configure(stage, stage.topics.dead, 'cleanup.policy', 'delete');
      await stage.out('after');
      await stage.dead.until(({ records }) => records.all.length > 0);
      expect(stage.dead.records.all.map(({ value }) => String(value))).toEqual(['{']);
      await eventually(async () => Number((await stage.committed())[0]) === 2);
      seen(task, `compacted, ${delivery}: waits for its \`cleanup.policy\` and drops nothing`);
    },
  );

  it.for(['at_least_once', 'exactly_once'] as const)(
    'fault 19: the dead-letter topic is away: its lane waits, nothing is dropped, and it goes on: %s',
    async (delivery, { task }) => {
      const stage = await workerStage(2);
      const worker = await stage.worker({ MNER_DELIVERY: delivery });
      await stage.admin.deleteTopics({ topics: [stage.topics.dead] });
      await stage.send(0, tweet('a'), '{', tweet('b'));
      await eventually(() => worker.log().includes('Dead letters cannot be written'));
      // The other lane goes on while this one waits.
      for (let round = 0; round < 5; round += 1) {
        await stage.send(1, tweet(`other-${round}`));
        await stage.out(`other-${round}`);
      }
      const waiting = (await stage.committed())[0] as number;
      expect(waiting).toBeLessThanOrEqual(1);
      expect((await fetch(`${worker.url}/livez`)).status).toBe(200);
      // By a client that has never heard of the deleted one: kafkajs's would go on to ask for it.
      const fresh = kafkaBroker({ brokers: BROKERS.split(',') });
      await fresh.createTopics([{ topic: stage.topics.dead, partitions: 2 }]);
      await eventually(async () => (await stage.committed()).join() === '3,5');
      await stage.out('b');
      const box = inbox();
      const reader = fresh.consumer({ topics: [stage.topics.dead], group: freshName('late') });
      await reader.start(box);
      await box.until(({ records }) => records.all.length > 0);
      await fresh.close();
      expect(box.records.all.map(({ value }) => String(value))).toEqual(['{']);
      if (delivery === 'exactly_once') expect(stage.outputs.records.all).toHaveLength(2 + 5);
      seen(
        task,
        `${delivery}: lane 0 stood at ${waiting} of 3 while lane 1 did 5 more; then all committed, the dead letter there once`,
      );
    },
  );

  it.runIf(LONG).for(['at_least_once', 'exactly_once'])(
    'fault 19: the dead-letter topic goes away after it was written to: what needs none goes on: %s',
    async (delivery, { task }) => {
      const stage = await workerStage();
      const worker = await stage.worker({ MNER_DELIVERY: delivery, MNER_START_FROM: 'earliest' });
      await stage.send(0, '{', tweet('first'));
      await stage.out('first');
      await eventually(async () => Number((await stage.committed())[0]) === 2);
      await stage.admin.deleteTopics({ topics: [stage.topics.dead] });
      // For longer than a client keeps to the topics that it has heard of.
      const began = performance.now();
      let round = 0;
      for (; performance.now() - began < 40_000; round += 1) {
        await stage.send(0, tweet(`${round}`));
        await Promise.race([stage.out(`${round}`), worker.ended.then((code) => expect(`${code}`).toBe('running'))]);
        await delay(500);
      }
      await eventually(async () => Number((await stage.committed())[0]) === 2 + round);
      expect(worker.log()).not.toMatch(/^mner: /m);
      seen(task, `${delivery}: deleted after a dead letter, ${round} tweets out in the 40 s that followed`);
    },
  );

  it.runIf(LONG)('fault 20: partitions are added live: picked up, from their first record', async ({ task }) => {
    const stage = await workerStage();
    const { input } = stage.topics;
    await stage.worker({ MNER_START_FROM: 'earliest' });
    await stage.send(0, tweet('first'));
    await stage.out('first');
    await stage.admin.createPartitions({ topicPartitions: [{ topic: input, count: 3 }] });
    const began = performance.now();
    const producer = await stage.broker.producer();
    await eventually(() =>
      producer
        .send({ topic: input, partition: 2 }, [{ key: null, value: Buffer.from(tweet('new')), headers: [] }])
        .then(
          () => true,
          () => false,
        ),
    );
    await stage.out('new');
    const seconds = (performance.now() - began) / 1000;
    await eventually(
      async () =>
        (await stage.admin.fetchOffsets({ groupId: stage.group, topics: [input] }))[0]?.partitions.some(
          ({ partition, offset }: { partition: number; offset: string }) => partition === 2 && Number(offset) >= 1,
        ) === true,
    );
    expect(stage.outputs.records.all).toHaveLength(2);
    seen(task, `at_least_once: partition 2 read after ${seconds.toFixed(0)} s`);
  });

  it.for(['while it was away', 'while it stood still'])(
    'fault 21: retention was faster %s: an error that says so, and on from the oldest',
    async (when, { task }) => {
      const stage = await workerStage();
      const { input } = stage.topics;
      let worker = await stage.worker();
      await stage.send(0, tweet('first'));
      await stage.out('first');
      await eventually(async () => (await stage.committed())[0] !== 0);
      if (when === 'while it was away') expect(await worker.stop()).toBe(0);
      else process.kill(worker.pid, 'SIGSTOP');
      // A fetch that waits at the broker would bring the records along before they are gone.
      await stage.quiet();
      await stage.send(0, tweet('lost'), tweet('lost too'), tweet('kept'));
      const offsets = await stage.admin.fetchTopicOffsets(input);
      expect(offsets[0]?.high).toBe('4');
      await stage.admin.deleteTopicRecords({ topic: input, partitions: [{ partition: 0, offset: '3' }] });
      if (when === 'while it was away') worker = await stage.worker();
      else process.kill(worker.pid, 'SIGCONT');
      await stage.out('kept');
      const line = worker
        .log()
        .split('\n')
        .find((one) => one.includes('is out of range'));
      expect(JSON.parse(line ?? '{}')).toMatchObject({ level: 'error', from: '1', to: '3', policy: 'earliest' });
      expect(line).toContain('2 offsets are lost');
      expect(await metric(worker, 'mner_offset_resets_total', 'to="earliest"')).toBe(1);
      await eventually(async () => Number((await stage.committed())[0]) >= 4);
      seen(task, `at_least_once, ${when}: offset 1 gone, on at 3, 2 named as lost`);
    },
  );

  it('fault 21: with `offset_out_of_range: fail` the worker ends by exit code 4, and does so again', async ({
    task,
  }) => {
    const stage = await workerStage();
    const { input } = stage.topics;
    const worker = await stage.worker();
    await stage.send(0, tweet('first'));
    await stage.out('first');
    await eventually(async () => (await stage.committed())[0] === 1);
    expect(await worker.stop()).toBe(0);
    await stage.send(0, tweet('lost'), tweet('kept'));
    await stage.admin.fetchTopicOffsets(input);
    await stage.admin.deleteTopicRecords({ topic: input, partitions: [{ partition: 0, offset: '2' }] });
    for (let time = 0; time < 2; time += 1) {
      const ended = await mner(['run'], {
        env: { ...stage.env, MNER_HTTP_PORT: '0', MNER_OFFSET_OUT_OF_RANGE: 'fail', MNER_DRAIN_TIMEOUT_MS: '5000' },
      });
      expect(ended.code).toBe(4);
      expect(ended.stderr).toMatch(/^mner: Offset 1 of in-\S+, partition 0, is not in the log/m);
      expect(await stage.committed()).toEqual([1]);
    }
    seen(task, '`fail`: exit code 4 twice, committed stays at 1');
  });
});
