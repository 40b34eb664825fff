import net from 'node:net';
import tls from 'node:tls';
import type { ISocketFactory, Kafka as KafkaClient, LogEntry, Mechanism, RetryOptions, SASLOptions } from 'kafkajs';
import { type Clock, systemClock } from '../../clock.js';
import { type Emit, silent } from '../../telemetry/events.js';
import { bearer } from './bearer.js';
import type { Compression } from './codecs.js';
import { Kafka, logLevel } from './kafkajs.js';
import type { Refusals } from './refusals.js';
import { refusing } from './refusing.js';
import { hangingUp } from './silence.js';

export interface KafkaOptions {
  /** `host:port` of any brokers of the cluster. */
  readonly brokers: readonly string[];
  /** How this worker is named in the broker's log. @default 'mner' */
  readonly clientId?: string;
  /** What each new connection is secured with, asked anew for each, since certificates rotate. @default no TLS */
  readonly tls?: () => tls.SecureContext;
  /** @default none */
  readonly sasl?: Sasl;
  /** How output is compressed. @default 'none' */
  readonly compression?: Compression;
  readonly clock?: Clock;
  readonly emit?: Emit;
}

/** How this worker proves who it is. What is a function is asked for each connection. */
export type Sasl =
  | {
      readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512';
      readonly username: string;
      readonly password: () => string;
    }
  | { readonly mechanism: 'oauthbearer'; readonly token: () => Promise<string> };

/** The longest that the first contact with the cluster may take, in milliseconds. */
export const CONNECT_DEADLINE_MS = 10_000;

const REQUEST_TIMEOUT_MS = 10_000;
const SILENT = `A Kafka broker has not answered a request within ${REQUEST_TIMEOUT_MS / 1000} seconds; its connections are opened anew.`;

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
   * @param settings.retry how its connections and coordinators are tried again. @default few and slow attempts
   * @param settings.refusals hears its log. @default nobody
   */
  client(settings?: { readonly retry?: RetryOptions; readonly refusals?: Refusals }): KafkaClient;
}

export function kafkaCluster(options: KafkaOptions): KafkaCluster {
  const { brokers, clientId = 'mner', sasl, compression = 'none', clock = systemClock, emit = silent } = options;
  // Every broker is tried once, and few brokers are tried several times, within the deadline even if none of them answers.
  const attempts = Math.max(3, brokers.length);
  const log = kafkaLog(emit, clock);
  return {
    brokers: brokers.join(', '),
    compression,
    clock,
    emit,
    client: ({ retry, refusals } = {}) =>
      hangingUp(
        dialWith(options.tls),
        (socketFactory) =>
          new Kafka({
            brokers: [...brokers],
            clientId,
            // A word for its log; the sockets are made below.
            ssl: options.tls !== undefined,
            ...(sasl === undefined ? {} : { sasl: saslOptions(sasl) }),
            connectionTimeout: Math.max(1000, Math.floor(8000 / attempts)),
            authenticationTimeout: 5000,
            // A half-open connection shows by a request without an answer; kafkajs would wait 30 s for it.
            requestTimeout: REQUEST_TIMEOUT_MS,
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
            logCreator: () => (entry) => {
              refusals?.hear(entry);
              log(entry);
            },
          }),
        (broker) => emit({ type: 'note', level: 'warn', message: SILENT, detail: { broker } }),
      ),
  };
}

/** kafkajs leaves Nagle's algorithm on, which with delayed acknowledgements adds up to 40 ms to a small request. */
function dialWith(context: KafkaOptions['tls']): (to: Parameters<ISocketFactory>[0]) => net.Socket {
  return ({ host, port, onConnect }) => {
    const named = net.isIP(host) ? {} : { servername: host };
    const socket = context
      ? tls.connect({ host, port, ...named, secureContext: context() }, onConnect)
      : net.connect({ host, port }, onConnect);
    socket.setKeepAlive(true, 60_000);
    socket.setNoDelay(true);
    return refusing(socket);
  };
}

/** kafkajs reads the password at each authentication, so one that has been replaced is used from the next connection on. */
function saslOptions(sasl: Sasl): SASLOptions | Mechanism {
  if (sasl.mechanism === 'oauthbearer') {
    const { mechanism, token } = sasl;
    return { mechanism, authenticationProvider: bearer(token) };
  }
  const { mechanism, username, password } = sasl;
  const login = {
    mechanism,
    username,
    get password() {
      return password();
    },
  };
  return login as SASLOptions; // Its declaration wants one member of the union for each mechanism.
}

/** A line of kafkajs's log is repeated no sooner than this, in milliseconds: it writes one for every retry of every lane. */
const REPEAT_MS = 10_000;

/** OpenSSL's errors name a thread, a source file and its line. */
const OPENSSL = /\s*[0-9A-F]{8,}:error:[0-9A-F]+:[^:]*:[^:]*:([^:]*):.*$/s;

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
    const message = log.message.replace(OPENSSL, ' $1');
    const before = last.get(message);
    if (before !== undefined && now - before < REPEAT_MS) return;
    if (last.size > 100) last.clear();
    last.set(message, now);
    const { broker, groupId, topic, partition } = log;
    const detail = Object.fromEntries(
      Object.entries({ broker, groupId, topic, partition }).filter(([, value]) => value !== undefined),
    );
    emit({ type: 'note', level: 'warn', message: `kafkajs: ${message}`, detail });
  };
}
