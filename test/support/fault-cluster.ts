import { type LocalKafka, startKafka } from '#mner/local/kafka.js';
import { kafkaBroker } from '#mner/stream/kafka/broker.js';
import type { Broker } from '#mner/stream/port.js';
import { type KafkaFaults, kafkaFaults } from './kafka-faults.js';
import { type Shape, type TcpProxy, tcpProxy } from './tcp-proxy.js';

/**
 * A real Kafka, each of whose brokers is reached in two ways: directly, by the tests and by each other, and through a proxy that
 * fails on command, by the workers. A client keeps to the way on which it came, since the brokers name their addresses accordingly.
 */
export interface FaultCluster {
  readonly kafka: LocalKafka;
  /** Addresses without faults. */
  readonly direct: string[];
  /** Addresses behind the proxies, for the workers. */
  readonly faulty: string[];
  /** In front of each node, in the order of `kafka.nodes`. */
  readonly proxies: readonly TcpProxy[];
  readonly faults: KafkaFaults;
  /** Connected, without faults. */
  readonly broker: Broker;
  /** Shapes every proxy. */
  shape(shape: Shape): void;
  stop(): Promise<void>;
}

/** A dead broker is noticed after two seconds instead of nine. */
const QUICK = { 'broker.session.timeout.ms': '2000', 'broker.heartbeat.interval.ms': '500' };

export async function startFaultCluster(options: {
  nodes: 1 | 3;
  properties?: Record<string, string>;
}): Promise<FaultCluster> {
  const faults = kafkaFaults();
  // The proxies come first, since the brokers name them; where each leads is known once the brokers have their ports.
  const behind = new Map<number, number>();
  const proxies = await Promise.all(
    Array.from({ length: options.nodes }, (_, index) =>
      tcpProxy(
        () => ({ host: '127.0.0.1', port: behind.get(index + 1) ?? 0 }),
        (ends) => faults.inspector(ends),
      ),
    ),
  );
  const kafka = await startKafka({
    nodes: options.nodes,
    listeners: { FAULTY: 'PLAINTEXT' },
    properties: ({ id, port, listeners }) => {
      behind.set(id, listeners?.FAULTY ?? 0);
      return {
        ...QUICK,
        'advertised.listeners': `PLAINTEXT://127.0.0.1:${port},FAULTY://127.0.0.1:${proxies[id - 1]?.port}`,
        ...options.properties,
      };
    },
  });
  const broker = kafkaBroker({ brokers: kafka.brokers });
  await broker.connect();
  return {
    kafka,
    direct: kafka.brokers,
    faulty: proxies.map(({ port }) => `127.0.0.1:${port}`),
    proxies,
    faults,
    broker,
    shape(shape) {
      for (const proxy of proxies) proxy.shape(shape);
    },
    async stop() {
      await broker.close();
      await kafka.stop();
      await Promise.all(proxies.map((proxy) => proxy.stop()));
    },
  };
}
