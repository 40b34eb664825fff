import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Admin } from 'kafkajs';
import { type LocalRedis, startRedis } from '#mner/local/redis.js';
import { Kafka, logLevel } from '#mner/stream/kafka/kafkajs.js';
import { GREEN, plain, quarters, RED } from '../image/pictures.js';
import { freshName } from '../stream/names.js';
import { type FaultCluster, startFaultCluster } from '../support/fault-cluster.js';
import { BROKERS } from './plan.js';
import { OUTPUT_MAX_BYTES, PARTITIONS } from './traffic.js';

/** Dead letters have other partitions than the input, which then share them. */
export const DEAD_PARTITIONS = 5;

/** Where the soak takes place: all servers, real, each of which can be hurt. */
export interface Arena {
  readonly cluster: FaultCluster;
  readonly redis: LocalRedis;
  readonly origin: Origin;
  readonly topics: { readonly input: string; readonly output: string; readonly dead: string };
  /** Resolves when every replica of every partition is in sync. */
  inSync(): Promise<void>;
  stop(): Promise<void>;
}

export async function openArena(): Promise<Arena> {
  const [cluster, redis, origin] = await Promise.all([
    startFaultCluster({ nodes: BROKERS }),
    startRedis(),
    serveOrigin(),
  ]);
  const admin = new Kafka({ brokers: cluster.direct, logLevel: logLevel.NOTHING }).admin();
  const topics = { input: freshName('in'), output: freshName('out'), dead: freshName('dead') };
  await admin.connect();
  await makeTopics(admin, topics);
  return {
    cluster,
    redis,
    origin,
    topics,
    inSync: () => untilInSync(admin),
    async stop() {
      await admin.disconnect().catch(() => {});
      // Nobody needs the data any more, so nobody waits for a clean end.
      for (const node of cluster.kafka.nodes) node.signal('SIGKILL');
      await Promise.all([cluster.stop(), redis.stop(), origin.stop()]);
    },
  };
}

async function makeTopics(admin: Admin, { input, output, dead }: Arena['topics']): Promise<void> {
  const topic = (name: string, numPartitions: number, configEntries: { name: string; value: string }[] = []) => ({
    topic: name,
    numPartitions,
    replicationFactor: BROKERS,
    configEntries,
  });
  await admin.createTopics({
    topics: [
      topic(input, PARTITIONS),
      topic(output, PARTITIONS, [{ name: 'max.message.bytes', value: String(OUTPUT_MAX_BYTES) }]),
      topic(dead, DEAD_PARTITIONS),
    ],
    // kafkajs's own wait gives up at once when a broker has not heard of the topic yet.
    waitForLeaders: false,
  });
  await untilInSync(admin);
}

async function untilInSync(admin: Admin): Promise<void> {
  while (!(await inSync(admin).catch(() => false))) await sleep(250);
}

async function inSync(admin: Admin): Promise<boolean> {
  const { topics } = await admin.fetchTopicMetadata({ topics: await admin.listTopics() });
  const partitions = topics.flatMap((topic) => topic.partitions);
  return partitions.length > 0 && partitions.every(({ isr, leader }) => isr.length === BROKERS && leader >= 0);
}

export interface Origin {
  /** `127.0.0.1:port`, as `image_allow` takes it. */
  readonly address: string;
  /** URLs of pictures, one of which does not exist. */
  readonly pictures: readonly string[];
  become(how: 'well' | 'error' | 'silent' | 'closed'): void;
  stop(): Promise<void>;
}

async function serveOrigin(): Promise<Origin> {
  const bodies = await Promise.all(
    [plain(RED, 640, 420), plain(GREEN, 320, 240), quarters(256)].map((picture) => picture.jpeg().toBuffer()),
  );
  let state: Parameters<Origin['become']>[0] = 'well';
  const server = createServer((request, response) => {
    if (state === 'silent') return; // Until it is well again; the worker gives up before.
    if (state === 'closed') return response.destroy();
    if (state === 'error') return response.writeHead(500).end();
    const body = bodies[Number(/^\/(\d)\.jpg/.exec(request.url ?? '')?.[1])];
    if (!body) return response.writeHead(404).end();
    response.writeHead(200, { 'content-type': 'image/jpeg' }).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    address,
    pictures: ['0', '1', '2', '9'].map((name) => `http://${address}/${name}.jpg`),
    become(how) {
      state = how;
      if (how === 'well') server.closeAllConnections();
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
