import type { ConnectionOptions, SecureContext } from 'node:tls';
import { type ChainableCommander, Cluster, Redis, type RedisOptions } from 'ioredis';
import { type Clock, delay, type Timer } from '../../clock.js';
import { parseRedisUrl } from './redis-url.js';
import { slotOf } from './slot.js';

export type RedisMode = 'standalone' | 'sentinel' | 'cluster';

export interface RedisClientOptions {
  /** `redis://[[user]:password@]host[:port][,host[:port]…][/db]`, `rediss://` with TLS. */
  readonly url: string;
  /**
   * What answers at `url`: Redis itself, Sentinels that know the master, or nodes of a Cluster.
   * @default 'standalone'
   */
  readonly mode?: RedisMode;
  /** The master's name with the Sentinels. @default 'mymaster' */
  readonly sentinelName?: string;
  /** Password of the Sentinels themselves; that in `url` is the master's. */
  readonly sentinelPassword?: string | null;
  /** What each new connection is secured with, beside `rediss://`. @default the authorities of Node */
  readonly tls?: () => SecureContext;
  /** Milliseconds for a TCP connection. @default 500 */
  readonly connectTimeoutMs?: number;
  /** Milliseconds from a connection to the server's readiness. @default 2000 */
  readonly readyTimeoutMs?: number;
  readonly clock: Clock;
}

export interface RedisEvents {
  /** A connection is ready for commands. */
  readonly onReady: (node: string) => void;
  readonly onClose: (node: string) => void;
  readonly onError: (error: unknown) => void;
}

/** One connection, or one for each node of a Cluster. */
export interface RedisClient {
  connect(): Promise<void>;
  /** The node that holds a key. Only keys of one node may share a pipeline. */
  nodeOf(key: string): string;
  /** A key that lies on a node; null where it holds none, as a replica or one that was replaced. */
  keyOn(node: string): string | null;
  /** Whether a command would be sent at once. */
  ready(node: string): boolean;
  /** Values of keys of one node, in one round trip. */
  values(keys: readonly string[]): Promise<(Buffer | null)[]>;
  pipeline(): ChainableCommander;
  /** Gives up a connection that is dead rather than slow, with all that is queued on it, for a new one. */
  reconnect(node: string): void;
  disconnect(): void;
}

/** Its declaration and ioredis's own constructor disagree about `replyMapping`. */
type Settings = Omit<RedisOptions, 'replyMapping'>;

const ONLY = 'redis';
/** Names that are tried to find a key on a node of a Cluster, which has a thousand nodes at most. */
const TRIED_NAMES = 16_384;

/** Nothing is ever queued for a server that is away: what cannot be sent at once fails at once. */
export function redisClient(options: RedisClientOptions, events: RedisEvents): RedisClient {
  const mode = options.mode ?? 'standalone';
  const address = parseRedisUrl(options.url, mode === 'sentinel' ? 26_379 : 6379);
  const tls = address.tls ? { tls: securedBy(options.tls) } : {};
  const connectTimeout = options.connectTimeoutMs ?? 500;
  const common = {
    lazyConnect: true,
    connectTimeout,
    disconnectTimeout: 100,
    maxRetriesPerRequest: 1,
    autoResendUnfulfilledCommands: false,
    ...(address.username === null ? {} : { username: address.username }),
    ...(address.password === null ? {} : { password: address.password }),
    ...tls,
  };

  /** A server that accepts and then says nothing would hold ioredis in its handshake for good. */
  function watch(redis: Redis, node: string): void {
    let readiness: Timer | null = null;
    redis.on('connect', () => {
      readiness?.cancel();
      readiness = options.clock.after(options.readyTimeoutMs ?? 2_000, () => {
        if (redis.status === 'connect') redis.disconnect(true);
      });
    });
    redis.on('ready', () => {
      readiness?.cancel();
      events.onReady(node);
    });
    redis.on('close', () => {
      readiness?.cancel();
      events.onClose(node);
    });
    redis.on('error', events.onError);
  }

  function single(more: Settings): RedisClient {
    const settings: Settings = { ...common, ...more, enableOfflineQueue: false, retryStrategy, db: address.db };
    const redis = new Redis(settings);
    watch(redis, ONLY);
    return {
      connect: async () => {
        if (redis.status !== 'ready') await redis.connect();
      },
      nodeOf: () => ONLY,
      keyOn: () => '',
      ready: () => redis.status === 'ready',
      values: (keys) => redis.mgetBuffer([...keys]),
      pipeline: () => redis.pipeline(),
      reconnect: () => redis.disconnect(true),
      disconnect: () => redis.disconnect(),
    };
  }

  function many(): RedisClient {
    const cluster = new Cluster([...address.hosts], {
      lazyConnect: true,
      enableOfflineQueue: false,
      clusterRetryStrategy: retryStrategy,
      clusterNodeRetryStrategy: retryStrategy,
      // A node that is away, or a cluster without it, is a miss now, not a hit in a second.
      retryDelayOnFailover: 0,
      retryDelayOnClusterDown: 0,
      maxRedirections: 4,
      slotsRefreshTimeout: connectTimeout,
      redisOptions: common,
    });
    const nodeNamed = (name: string) =>
      cluster.nodes('all').find(({ options: { host, port } }) => `${host}:${port}` === name);
    cluster.on('+node', (redis: Redis) => {
      watch(redis, `${redis.options.host}:${redis.options.port}`);
    });
    /** So that the first command finds a connection. Not before the cluster is ready: its own start would hang. */
    const warm = () => Promise.allSettled(cluster.nodes('master').map((node) => node.ping()));
    cluster.on('ready', () => void warm());
    cluster.on('error', events.onError);
    cluster.on('node error', events.onError);
    const nodeOf = (key: string) => cluster.slots[slotOf(key)]?.[0] ?? '';
    return {
      connect: async () => {
        if (cluster.status !== 'ready') {
          // Where the readiness check fails, ioredis tries again, but leaves its promise as it is.
          const ready = new Promise<void>((resolve) => cluster.once('ready', () => resolve()));
          await Promise.race([ready, cluster.connect()]);
        }
        // A node that hangs must not hold up the others.
        await Promise.race([warm(), delay(options.clock, connectTimeout)]);
      },
      nodeOf,
      // Each node holds many slots, so that one of the first names lies there.
      keyOn(node) {
        for (let name = 0; name < TRIED_NAMES; name++) if (nodeOf(`${name}`) === node) return `${name}`;
        return null;
      },
      ready(name) {
        if (cluster.status !== 'ready') return false;
        const status = nodeNamed(name)?.status;
        return status === undefined || status === 'ready' || status === 'wait';
      },
      async values(keys) {
        const pipeline = cluster.pipeline();
        for (const key of keys) pipeline.getBuffer(key);
        const replies = (await pipeline.exec()) ?? [];
        return replies.map(([error, value]) => {
          // As MGET has it: what is no string is nothing.
          if (error && !error.message.startsWith('WRONGTYPE')) throw error;
          return Buffer.isBuffer(value) ? value : null;
        });
      },
      pipeline: () => cluster.pipeline(),
      reconnect: (name) => nodeNamed(name)?.disconnect(true),
      disconnect: () => cluster.disconnect(),
    };
  }

  if (mode === 'cluster') return many();
  if (mode === 'standalone') return single(address.hosts[0] ?? {});
  return single({
    sentinels: [...address.hosts],
    name: options.sentinelName ?? 'mymaster',
    sentinelRetryStrategy: retryStrategy,
    ...(options.sentinelPassword ? { sentinelPassword: options.sentinelPassword } : {}),
    ...(address.tls ? { enableTLSForSentinelMode: true, sentinelTLS: tls.tls ?? {} } : {}),
  });
}

/** ioredis copies these options for each connection, so what is asked here is asked then. */
function securedBy(context: RedisClientOptions['tls']): ConnectionOptions {
  if (!context) return {};
  return {
    get secureContext() {
      return context();
    },
  };
}

/** 100 ms to 2 s, each between half and whole, so that a fleet does not knock as one. */
function retryStrategy(attempt: number): number {
  return Math.min(50 * 2 ** Math.min(attempt, 6), 2_000) * (0.5 + Math.random() / 2);
}
