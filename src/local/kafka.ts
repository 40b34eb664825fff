import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MnerError } from '../errors.js';
import { type KafkaKit, kafkaKit } from './kafka-kit.js';
import {
  format,
  kafkaUuid,
  type NodeAddress,
  runKafkaClass,
  type SecurityProtocol,
  started,
  writeProperties,
} from './kafka-node.js';
import { PortTaken, withFreePorts } from './ports.js';
import type { Guarded } from './process.js';

export interface LocalKafkaOptions {
  /** One is enough for most; duplicates inside transactions show on three only. @default 1 */
  nodes?: 1 | 3;
  /** Lines of server.properties over ours; a function makes them for each node. */
  properties?: Record<string, string> | ((node: NodeAddress) => Record<string, string>);
  /**
   * Listeners beside the plain one, by a name in capitals. What they need, say certificates, is for `properties` to say:
   * `listener.name.NAME.…`, with the name in small letters.
   * @default none
   */
  listeners?: Readonly<Record<string, SecurityProtocol>>;
  /** Further arguments of the Java machine, as `-Dname=value`. @default none */
  jvm?: readonly string[];
  /** Folder of the data; it is kept, and a later start goes on with it. @default a temporary one, removed at the end */
  dir?: string;
  /** Folder of the jars. @default see `kafkaJars` */
  cache?: string;
  /** What to call with a line of progress; only a first start has any. @default nothing */
  say?: (line: string) => void;
}

export interface LocalKafka {
  /** `127.0.0.1:PORT` of every node. */
  readonly brokers: string[];
  /** The same of each further listener, by its name. */
  readonly listeners: Readonly<Record<string, string[]>>;
  readonly nodes: readonly LocalKafkaNode[];
  /** Stops every node and removes the temporary folder. Safe at any time, any number of times. */
  stop(): Promise<void>;
}

/** One broker (and controller), for tests that hurt it. */
export interface LocalKafkaNode {
  readonly id: number;
  /** `127.0.0.1:PORT` */
  readonly broker: string;
  pid(): number;
  /** The last lines that it printed. */
  tail(): string[];
  /** SIGKILL, SIGSTOP, SIGCONT, as faults do. */
  signal(name: NodeJS.Signals): void;
  /** SIGTERM, then SIGKILL. Safe at any time. */
  stop(): Promise<void>;
  /** Starts it again with its data on its port; what still runs is stopped first. */
  restart(): Promise<void>;
}

/**
 * A real Apache Kafka (KRaft) on this machine, on 127.0.0.1 only, that ends with this process, however that ends. Topics are not
 * created by themselves. Ready when it resolves.
 *
 * @throws MnerError `missing_tool` without Java 17 or, at the first start, without Maven; `bad_download`; `local_server`
 */
export async function startKafka(options: LocalKafkaOptions = {}): Promise<LocalKafka> {
  const kit = await kafkaKit({
    ...(options.cache ? { cache: options.cache } : {}),
    ...(options.say ? { say: options.say } : {}),
  });
  const count = options.nodes ?? 1;
  const base = options.dir ?? (await mkdtemp(join(tmpdir(), 'mner-kafka-')));
  const tidy = () => (options.dir ? Promise.resolve() : rm(base, { recursive: true, force: true, maxRetries: 5 }));
  try {
    const names = Object.keys(options.listeners ?? {});
    const { nodes, addresses } = await withFreePorts((2 + names.length) * count, async (ports) => {
      const addresses = cluster(ports, count, names);
      return { nodes: await startCluster(kit, base, addresses, options), addresses };
    });
    const placesOf = (name: string) => addresses.map(({ listeners }) => `127.0.0.1:${listeners?.[name]}`);
    return {
      brokers: nodes.map(({ broker }) => broker),
      listeners: Object.fromEntries(names.map((name) => [name, placesOf(name)])),
      nodes,
      async stop() {
        await Promise.all(nodes.map((node) => node.stop()));
        await tidy();
      },
    };
  } catch (error) {
    await tidy();
    if (error instanceof PortTaken) throw new MnerError('local_server', 'Kafka found no free ports.', { cause: error });
    throw error;
  }
}

/**
 * SIGTERM takes 0.4 to 2.8 s; but when three nodes stop together, the last two cannot hand over their partitions any more and would
 * wait long. Data that is kept is given the time.
 */
const GRACE_MS = { kept: 15_000, thrown_away: 3_000 };

function cluster(ports: readonly number[], count: number, names: readonly string[]): NodeAddress[] {
  const port = (row: number, index: number) => ports[row * count + index] ?? 0;
  return Array.from({ length: count }, (_, index) => ({
    id: index + 1,
    port: port(0, index),
    controllerPort: port(1, index),
    listeners: Object.fromEntries(names.map((name, row) => [name, port(2 + row, index)])),
  }));
}

async function startCluster(
  kit: KafkaKit,
  base: string,
  addresses: NodeAddress[],
  options: LocalKafkaOptions,
): Promise<LocalKafkaNode[]> {
  const clusterId = kafkaUuid();
  const launches = addresses.map(async (address) => {
    const folder = join(base, `node-${address.id}`);
    const own = typeof options.properties === 'function' ? options.properties(address) : options.properties;
    const properties = await writeProperties(folder, address, addresses, own, options.listeners);
    await format(folder, address, clusterId, kit.checkpoint);
    const run = { jvm: [...(options.jvm ?? [])], ...(options.dir ? {} : { removeOnDeath: folder }) };
    return () => runKafkaClass(kit, 'kafka.Kafka', [properties], run);
  });
  const launch = await Promise.all(launches);
  const running = await Promise.all(launch.map((run) => run()));
  try {
    await Promise.all(running.map(started));
  } catch (error) {
    await Promise.all(running.map((broker) => broker.stop(0)));
    throw error;
  }
  return addresses.map((address, index) =>
    handle(address, running[index]!, launch[index]!, options.dir ? GRACE_MS.kept : GRACE_MS.thrown_away),
  );
}

function handle(address: NodeAddress, first: Guarded, launch: () => Promise<Guarded>, graceMs: number): LocalKafkaNode {
  let broker = first;
  broker.keepAlive(false);
  return {
    id: address.id,
    broker: `127.0.0.1:${address.port}`,
    pid: () => broker.pid,
    tail: () => broker.tail(),
    signal: (name) => broker.signal(name),
    stop: () => broker.stop(graceMs),
    async restart() {
      await broker.stop(graceMs);
      broker = await launch();
      await started(broker);
      broker.keepAlive(false);
    },
  };
}
