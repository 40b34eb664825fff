import { type LocalKafka, startKafka } from '#mner/local/kafka.js';
import { freePorts } from '#mner/local/ports.js';
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
  const ports = await freePorts(options.nodes);
  const proxies = await Promise.all(
    ports.map((port) => tcpProxy({ host: '127.0.0.1', port }, (ends) => faults.inspector(ends))),
  );
  const kafka = await startKafka({
    nodes: options.nodes,
    properties: ({ id, port, controllerPort }) => ({
      ...QUICK,
      listeners: [
        `PLAINTEXT://127.0.0.1:${port}`,
        `FAULTY://127.0.0.1:${ports[id - 1]}`,
        `CONTROLLER://127.0.0.1:${controllerPort}`,
      ].join(','),
      'advertised.listeners': `PLAINTEXT://127.0.0.1:${port},FAULTY://127.0.0.1:${proxies[id - 1]?.port}`,
      'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,FAULTY:PLAINTEXT,CONTROLLER:PLAINTEXT',
      ...options.properties,
    }),
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
