import { randomBytes } from 'node:crypto';
import { copyFile, mkdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MnerError } from '../errors.js';
import { KAFKA_DEPLOY } from './jars.js';
import { PortTaken } from './ports.js';
import { type Guarded, type GuardedOptions, spawnGuarded } from './process.js';

/** Where one node of a cluster stands: all on 127.0.0.1. */
export interface NodeAddress {
  /** From 1. */
  readonly id: number;
  readonly port: number;
  readonly controllerPort: number;
  /** Ports of the further listeners, by name. @default none */
  readonly listeners?: Readonly<Record<string, number>>;
}

/** How a listener is secured, by Kafka's names. */
export type SecurityProtocol = 'PLAINTEXT' | 'SSL' | 'SASL_PLAINTEXT' | 'SASL_SSL';

/** What every broker process here is started with. */
export interface Runtime {
  readonly java: string;
  readonly jars: readonly string[];
  /** Class-data archive that makes the start quick; null where there is none (yet). */
  readonly archive: string | null;
}

/** Runs a class of Kafka. A small heap and the quick compiler alone: this broker lives for minutes and shares its cores. */
export function runKafkaClass(
  runtime: Runtime,
  className: string,
  args: string[],
  options: { jvm?: string[] } & Omit<GuardedOptions, 'env'> = {},
): Promise<Guarded> {
  const jvm = [
    '-Xms64m',
    '-Xmx384m',
    '-XX:MaxDirectMemorySize=64m',
    '-XX:+UseSerialGC',
    '-XX:TieredStopAtLevel=1',
    '-Xlog:disable',
  ];
  if (runtime.archive) jvm.push(`-XX:SharedArchiveFile=${runtime.archive}`);
  jvm.push(`-Dlog4j2.configurationFile=${join(KAFKA_DEPLOY, 'log4j2.properties')}`, ...(options.jvm ?? []));
  const { jvm: _, ...guarded } = options;
  return spawnGuarded(runtime.java, [...jvm, '-cp', runtime.jars.join(':'), className, ...args], guarded);
}

/** Writes `server.properties` for one node of `cluster` into `folder`, and returns its path. */
export async function writeProperties(
  folder: string,
  node: NodeAddress,
  cluster: readonly NodeAddress[],
  overrides: Readonly<Record<string, string>> = {},
  protocols: Readonly<Record<string, SecurityProtocol>> = {},
): Promise<string> {
  const further = Object.entries(node.listeners ?? {}).map(([name, port]) => `,${name}://127.0.0.1:${port}`);
  const mapped = Object.entries(protocols).map(([name, protocol]) => `,${name}:${protocol}`);
  const copies = `${Math.min(3, cluster.length)}`;
  const inSync = cluster.length >= 3 ? '2' : '1';
  const properties: Record<string, string> = {
    'node.id': `${node.id}`,
    'process.roles': 'broker,controller',
    'controller.quorum.voters': cluster.map(({ id, controllerPort }) => `${id}@127.0.0.1:${controllerPort}`).join(','),
    listeners: `PLAINTEXT://127.0.0.1:${node.port},CONTROLLER://127.0.0.1:${node.controllerPort}${further.join('')}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${node.port}${further.join('')}`,
    'inter.broker.listener.name': 'PLAINTEXT',
    'controller.listener.names': 'CONTROLLER',
    'listener.security.protocol.map': `PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT${mapped.join('')}`,
    'log.dirs': join(folder, 'data'),
    'auto.create.topics.enable': 'false',
    'default.replication.factor': copies,
    'min.insync.replicas': inSync,
    'offsets.topic.num.partitions': '4',
    'offsets.topic.replication.factor': copies,
    'transaction.state.log.num.partitions': '4',
    'transaction.state.log.replication.factor': copies,
    'transaction.state.log.min.isr': inSync,
    'share.coordinator.state.topic.replication.factor': copies,
    'share.coordinator.state.topic.min.isr': inSync,
    'group.initial.rebalance.delay.ms': '0',
    'group.min.session.timeout.ms': '1000',
    'log.cleaner.dedupe.buffer.size': '16777216',
    ...overrides,
  };
  await mkdir(folder, { recursive: true });
  const path = join(folder, 'server.properties');
  await writeFile(
    path,
    Object.entries(properties)
      .map(([name, value]) => `${name}=${value}\n`)
      .join(''),
  );
  return path;
}

/**
 * What `StorageTool format` does, from the one file that it made in the preparation: the tool itself takes a second, for each node.
 * A folder that is formatted already stays as it is.
 */
export async function format(folder: string, node: NodeAddress, clusterId: string, checkpoint: string): Promise<void> {
  const data = join(folder, 'data');
  if (await stat(join(data, 'meta.properties')).catch(() => null)) return;
  await mkdir(data, { recursive: true });
  await copyFile(checkpoint, join(data, 'bootstrap.checkpoint'));
  const meta = `version=1\ncluster.id=${clusterId}\nnode.id=${node.id}\ndirectory.id=${kafkaUuid()}\n`;
  await writeFile(join(data, 'meta.properties'), meta);
}

/** An id as Kafka writes it: 16 bytes in base64url. One that starts with a dash would read as an option of its tools. */
export function kafkaUuid(): string {
  const id = randomBytes(16).toString('base64url');
  return id.startsWith('-') ? kafkaUuid() : id;
}

/**
 * Resolves when the broker says that it has started.
 *
 * @throws PortTaken when it cannot bind; MnerError `local_server`, with what it said, when it ends for another reason
 */
export async function started(broker: Guarded): Promise<void> {
  if (await broker.says('Kafka Server started')) return;
  const lines = broker.tail();
  if (lines.some((line) => /Address already in use|Failed to bind/.test(line))) throw new PortTaken();
  // The first exception says more than the line above it, which only says that there is one.
  const reason =
    lines.find((line) => /^\S*Exception/.test(line)) ?? lines.find((line) => line.startsWith('ERROR')) ?? lines.pop();
  throw new MnerError('local_server', `Kafka did not start: ${reason ?? 'it said nothing'}`);
}
