import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import kafkajs from 'kafkajs';
import { afterAll, beforeAll, describe, expect, it, onTestFailed } from 'vitest';
import { type LocalKafka, startKafka } from '#mner/local/kafka.js';
import { kafkaBroker } from '#mner/stream/kafka/broker.js';
import type { Broker } from '#mner/stream/port.js';
import { type Inbox, inbox } from '../stream/inbox.js';
import { freshName, text } from '../stream/names.js';
import { LONG } from '../support/seen.js';

const MEMBER = fileURLToPath(new URL('exactly-once-member.mjs', import.meta.url));
const PARTITIONS = 6;
/** Ids for each partition before each of four faults, so that there is always work left when one strikes. */
const PORTION = 400;
const SESSION_MS = 4000;
const TRANSACTION_MS = 3000;

interface Member {
  readonly child: ChildProcess;
  log(): string;
  /** Resolves as soon as it has said this, from now on. */
  says(what: RegExp): Promise<void>;
  exit(): Promise<number | null>;
}

/** On three brokers: duplicates inside a committed transaction never show on one. */
describe.runIf(LONG)('exactly once on three brokers', () => {
  let kafka: LocalKafka;
  let broker: Broker;
  const members: Member[] = [];

  beforeAll(async () => {
    // A dead broker is noticed after two seconds instead of nine.
    const properties = { 'broker.session.timeout.ms': '2000', 'broker.heartbeat.interval.ms': '500' };
    kafka = await startKafka({ nodes: 3, properties });
    broker = kafkaBroker({ brokers: kafka.brokers });
    await broker.connect();
  }, 60_000);

  afterAll(async () => {
    for (const { child } of members) child.kill('SIGKILL');
    await broker?.close();
    await kafka?.stop();
  }, 30_000);

  const member = (settings: object): Member => {
    const child = spawn(process.execPath, [MEMBER, JSON.stringify(settings)], { stdio: ['ignore', 'pipe', 'pipe'] });
    let log = '';
    let told = () => {};
    const hear = (chunk: Buffer) => {
      log += String(chunk);
      told();
    };
    child.stdout?.on('data', hear);
    child.stderr?.on('data', hear);
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    const made: Member = {
      child,
      log: () => log,
      exit: () => ended,
      async says(what) {
        const from = log.length;
        while (!what.test(log.slice(from)))
          await new Promise<void>((resolve) => {
            told = resolve;
          });
      },
    };
    members.push(made);
    return made;
  };

  it.runIf(LONG)(
    'gives every id one outcome, in order, through killed and frozen members and killed brokers',
    async () => {
      const [input, output, dead, group] = ['in', 'out', 'dead', 'group'].map(freshName) as [
        string,
        string,
        string,
        string,
      ];
      await broker.createTopics([
        { topic: input, partitions: PARTITIONS, replicas: 3 },
        { topic: output, partitions: PARTITIONS, replicas: 3 },
        { topic: dead, partitions: PARTITIONS, replicas: 3 },
      ]);
      const producer = await broker.producer();
      let fed = 0;
      const feed = async () => {
        const ids = Array.from({ length: PORTION }, (_, i) => fed + i);
        for (let partition = 0; partition < PARTITIONS; partition += 1)
          await producer.send(
            { topic: input, partition },
            ids.map((id) => text(`${partition}:${id}`)),
          );
        fed += PORTION;
      };
      await feed();
      const settings = {
        ...{ brokers: kafka.brokers, group, input, output, dead },
        ...{ sessionTimeoutMs: SESSION_MS, timeoutMs: TRANSACTION_MS, recordMs: 150 },
      };

      const watch = inbox();
      const watcher = broker.consumer({
        topics: [output, dead],
        group: freshName('watch'),
        sessionTimeoutMs: SESSION_MS,
      });
      await watcher.start(watch);
      // Ids, since the watcher commits nothing and reads again after a rejoin.
      const seen = new Set<string>();
      let read = 0;
      const count = ({ records }: Inbox) => {
        for (; read < records.all.length; read += 1) seen.add(String(records.all[read]?.value));
        const counts = Array.from({ length: PARTITIONS }, () => 0);
        for (const id of seen) counts[Number(id.split(':')[0])]! += 1;
        return counts;
      };
      /** Waits for that many further ids of every partition. */
      const progress = async (more: number) => {
        const before = count(watch);
        await watch.until((box) => count(box).every((now, i) => now >= Math.min(fed, before[i]! + more)));
      };
      const faults: string[] = [];
      const fault = (name: string) =>
        faults.push(`${Math.round(performance.now() / 1000)} s: ${name}, ${seen.size} seen`);
      onTestFailed(() => console.log([...faults, ...members.map(({ log }) => log())].join('\n---\n')));

      const first = member(settings);
      const second = member(settings);
      await progress(60);
      fault('a member is killed');
      first.child.kill('SIGKILL');
      const third = member(settings);
      await progress(60);
      await feed();
      fault('a broker is killed');
      const [, node] = kafka.nodes;
      node?.signal('SIGKILL');
      await progress(60);
      fault('it comes back');
      await node?.restart();
      await feed();
      await progress(20);
      fault('a member is frozen');
      second.child.kill('SIGSTOP');
      await progress(60);
      fault('it wakes up');
      const heard = second.says(/epoch|not aware|re-joining|starts again|committed/i);
      second.child.kill('SIGCONT');
      await heard;
      await feed();
      fault('another broker is killed');
      const [other] = kafka.nodes;
      other?.signal('SIGKILL');
      await progress(60);
      fault('it comes back, too');
      await other?.restart();
      await progress(fed);
      fault('all seen');
      for (const { child } of [second, third]) child.kill('SIGTERM');
      expect(await Promise.all([second.exit(), third.exit()])).toEqual([0, 0]);
      await watcher.stop();

      for (const topic of [output, dead])
        for (let partition = 0; partition < PARTITIONS; partition += 1)
          await producer.send({ topic, partition }, [text('last')]);
      const [outputs, letters] = [await readCommitted(kafka.brokers, output), await readCommitted(kafka.brokers, dead)];
      const all = [...outputs, ...letters].flat();
      expect(all).toHaveLength(PARTITIONS * fed);
      expect(new Set(all).size).toBe(PARTITIONS * fed);
      for (const topic of [outputs, letters])
        for (const [partition, ids] of topic.entries()) {
          expect(ids).toEqual([...ids].sort((a, b) => Number(a.split(':')[1]) - Number(b.split(':')[1])));
          expect(ids.every((id) => id.startsWith(`${partition}:`))).toBe(true);
        }
    },
    120_000,
  );
});

/** By partition, what a reader of committed records sees of a topic, up to the last record of each partition. */
async function readCommitted(brokers: string[], topic: string): Promise<string[][]> {
  const consumer = new kafkajs.Kafka({ brokers, logLevel: kafkajs.logLevel.NOTHING }).consumer({
    groupId: freshName('oracle'),
    readUncommitted: false,
    maxWaitTimeInMs: 100,
  });
  const read: string[][] = Array.from({ length: PARTITIONS }, () => []);
  let left = PARTITIONS;
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  await new Promise<void>((resolve) => {
    void consumer.run({
      eachMessage: async ({ partition, message }) => {
        if (String(message.value) !== 'last') read[partition]?.push(String(message.value));
        else if (--left === 0) resolve();
      },
    });
  });
  await consumer.disconnect();
  return read;
}
