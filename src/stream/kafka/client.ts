import net from 'node:net';
import tls from 'node:tls';
import { type ISocketFactory, Kafka, type LogEntry, logLevel, type RetryOptions, type SASLOptions } from 'kafkajs';
import { type Clock, systemClock } from '../../clock.js';
import { type Emit, silent } from '../../telemetry/events.js';
import type { Compression } from './codecs.js';

export interface KafkaOptions {
  /** `host:port` of any brokers of the cluster. */
  readonly brokers: readonly string[];
  /** How this worker is named in the broker's log. @default 'mner' */
  readonly clientId?: string;
  /** True for TLS with the system's authorities, or options of `tls.connect`. @default false */
  readonly ssl?: boolean | tls.ConnectionOptions;
  /** @default none */
  readonly sasl?: SASLOptions;
  /** How output is compressed. @default 'none' */
  readonly compression?: Compression;
  readonly clock?: Clock;
  readonly emit?: Emit;
}

/** The longest that the first contact with the cluster may take, in milliseconds. */
export const CONNECT_DEADLINE_MS = 10_000;

/** A cluster that is reached through a fresh kafkajs client each time it is asked for one. */
export interface KafkaCluster {
  readonly brokers: string;
  readonly compression: Compression;
  readonly clock: Clock;
  readonly emit: Emit;
  /**
   * A client of its own for each consumer, producer and admin: kafkajs keeps one table of committed offsets for each
   * client and group, and two consumers of a group in one process would wipe each other's.
   *
   * @param retry how its connections and coordinators are tried again @default few and slow attempts
   */
  client(retry?: RetryOptions): Kafka;
}

export function kafkaCluster(options: KafkaOptions): KafkaCluster {
  const { brokers, clientId = 'mner', ssl, sasl, compression = 'none', clock = systemClock, emit = silent } = options;
  // Every broker is tried once, and few brokers are tried several times, within the deadline even if none of them answers.
  const attempts = Math.max(3, brokers.length);
  const log = kafkaLog(emit, clock);
  return {
    brokers: brokers.join(', '),
    compression,
    clock,
    emit,
    client: (retry) =>
      new Kafka({
        brokers: [...brokers],
        clientId,
        ...(ssl === undefined ? {} : { ssl }),
        ...(sasl === undefined ? {} : { sasl }),
        connectionTimeout: Math.max(1000, Math.floor(8000 / attempts)),
        authenticationTimeout: 5000,
        // A half-open connection shows by a request without an answer; kafkajs would wait 30 s for it.
        requestTimeout: 10_000,
        enforceRequestTimeout: true,
        // All five are named: kafkajs has other defaults where NODE_ENV is "test".
        retry: retry ?? {
          initialRetryTime: 100,
          maxRetryTime: 1000,
          factor: 0.2,
          multiplier: 2,
          retries: attempts - 1,
        },
        socketFactory,
        logLevel: logLevel.WARN,
        logCreator: () => log,
      }),
  };
}

/** kafkajs leaves Nagle's algorithm on, which with delayed acknowledgements adds up to 40 ms to a small request. */
const socketFactory: ISocketFactory = ({ host, port, ssl, onConnect }) => {
  const socket = ssl
    ? tls.connect({ host, port, ...(net.isIP(host) ? {} : { servername: host }), ...ssl }, onConnect)
    : net.connect({ host, port }, onConnect);
  socket.setKeepAlive(true, 60_000);
  socket.setNoDelay(true);
  return socket;
};

/** A line of kafkajs's log is repeated no sooner than this, in milliseconds: it writes one for every retry of every lane. */
const REPEAT_MS = 10_000;

/**
 * kafkajs's log as notes, without stack traces. It calls an error what it then retries, so nothing here is worse than a
 * warning; what cannot be mended reaches the worker as an error of ours.
 */
function kafkaLog(emit: Emit, clock: Clock): (entry: LogEntry) => void {
  const last = new Map<string, number>();
  return ({ namespace, log }) => {
    // Every error in a response is told again, with its meaning, by whoever asked; a crash by our consumer.
    if (namespace === 'Connection' && log.message.startsWith('Response ')) return;
    if (namespace === 'Consumer' && /^(Crash|Restarting)/.test(log.message)) return;
    const now = clock.now();
    const before = last.get(log.message);
    if (before !== undefined && now - before < REPEAT_MS) return;
    if (last.size > 100) last.clear();
    last.set(log.message, now);
    const { broker, groupId, topic, partition } = log;
    const detail = Object.fromEntries(
      Object.entries({ broker, groupId, topic, partition }).filter(([, value]) => value !== undefined),
    );
    emit({ type: 'note', level: 'warn', message: `kafkajs: ${log.message}`, detail });
  };
}
