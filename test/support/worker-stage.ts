import type { Admin } from 'kafkajs';
import { onTestFinished } from 'vitest';
import { kafkaBroker } from '#mner/stream/kafka/broker.js';
import { Kafka, logLevel } from '#mner/stream/kafka/kafkajs.js';
import type { Broker, InputRecord } from '#mner/stream/port.js';
import { type Inbox, inbox } from '../stream/inbox.js';
import { freshName, freshStream } from '../stream/names.js';
import { BROKERS, TINY_WITH_SERVERS } from './servers.js';
import { startWorker, type WorkerProcess } from './worker-process.js';

/** A real Kafka with topics of its own for one test, a reader of what comes out, and workers; all of it ends with the test. */
export interface WorkerStage {
  readonly broker: Broker;
  readonly topics: { readonly input: string; readonly output: string; readonly dead: string };
  readonly group: string;
  readonly outputs: Inbox;
  readonly dead: Inbox;
  /** What only Kafka's own tools can do. */
  readonly admin: Admin;
  /** The variables of a worker between these topics. */
  readonly env: Readonly<Record<string, string>>;
  /** @param through as for `startWorker` */
  worker(env?: Readonly<Record<string, string>>, through?: readonly string[]): Promise<WorkerProcess>;
  send(partition: number, ...values: readonly (Buffer | string | null)[]): Promise<void>;
  /** Resolves when the tweet with this id is out. */
  out(id: string): Promise<InputRecord>;
  /** Resolves when no fetch from before waits at the broker any more: one of our own, which began later, has ended. */
  quiet(): Promise<void>;
  /** The group's committed offset of each partition; 0 where it has none. */
  committed(): Promise<number[]>;
}

/** @param partitions of each topic @default 1 */
export async function workerStage(partitions = 1): Promise<WorkerStage> {
  const { input, output, dead, group } = freshStream();
  const brokers = BROKERS.split(',');
  const broker = kafkaBroker({ brokers });
  const admin = new Kafka({ brokers, logLevel: logLevel.NOTHING }).admin();
  const workers: WorkerProcess[] = [];
  onTestFinished(async () => {
    for (const worker of workers) {
      await worker.stop('SIGKILL');
    }
    await admin.disconnect();
    await broker.close();
  });
  await admin.connect();
  await broker.connect();
  await broker.createTopics([input, output, dead].map((topic) => ({ topic, partitions })));
  const boxes = { outputs: inbox(), dead: inbox() };
  await Promise.all([
    broker.consumer({ topics: [output], group: freshName('reader') }).start(boxes.outputs),
    broker.consumer({ topics: [dead], group: freshName('reader') }).start(boxes.dead),
  ]);
  const producer = await broker.producer();
  const env = {
    ...TINY_WITH_SERVERS,
    ...{ MNER_INPUT_TOPIC: input, MNER_OUTPUT_TOPIC: output, MNER_DEAD_LETTER_TOPIC: dead, MNER_GROUP: group },
    ...{ MNER_COMMIT_EVERY_MS: '50', MNER_LOG_FORMAT: 'json' },
  };
  return {
    ...{ broker, admin, group, env, outputs: boxes.outputs, dead: boxes.dead, topics: { input, output, dead } },
    async worker(more = {}, through = []) {
      const worker = await startWorker({ ...env, ...more }, through);
      workers.push(worker);
      return worker;
    },
    async send(partition, ...values) {
      const records = values.map((value) => ({
        key: null,
        value: typeof value === 'string' ? Buffer.from(value) : value,
        headers: [],
      }));
      for (let at = 0; at < records.length; at += 500)
        await producer.send({ topic: input, partition }, records.slice(at, at + 500));
    },
    async out(id) {
      const ours = (one: InputRecord) => one.value?.includes(`"tweet_id":"${id}"`) === true;
      await boxes.outputs.until(({ records }) => records.all.some(ours));
      return boxes.outputs.records.all.find(ours) as InputRecord;
    },
    async quiet() {
      const reader = broker.consumer({ topics: [input], group: freshName('quiet') });
      await reader.start(inbox());
      await reader.stop();
    },
    async committed() {
      // By a connection of its own: kafkajs answers for no topic any more once one that it has heard of is deleted.
      const fresh = kafkaBroker({ brokers });
      const offsets = await fresh.offsets(input, group).finally(() => fresh.close());
      return offsets.map(({ committed }) => Number(committed ?? 0n));
    },
  };
}

/** A tweet as JSON. */
export function tweet(id: string, text = 'Kobe Bryant in Los Angeles', more: object = {}): string {
  return JSON.stringify({ id, text, ...more });
}

/** The value of a metric without labels, or with these; 0 where there is none. */
export async function metric(worker: WorkerProcess, name: string, labels = ''): Promise<number> {
  const page = await (await fetch(`${worker.url}/metrics`)).text();
  const line = page.split('\n').find((one) => one.startsWith(labels ? `${name}{${labels}}` : `${name} `));
  return Number(line?.split(' ').at(-1) ?? 0);
}

/** Asks again and again until it is so: for what nobody tells by itself. */
export async function eventually(met: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await met())) await new Promise((resolve) => setTimeout(resolve, 50));
}
