import { Redis } from 'ioredis';
import { type Clock, systemClock, type Timer } from '../../clock.js';
import { MnerError } from '../../errors.js';
import { type Emit, silent } from '../../telemetry/events.js';
import type { Cache } from '../port.js';
import { copyOf } from './copy.js';

export interface RedisCacheOptions {
  /** `redis://[[user]:password@]host[:port][/db]`, `rediss://` with TLS. */
  readonly url: string;
  /** Milliseconds that a lookup or a write may take before it counts as a miss, or as not written. @default 50 */
  readonly commandTimeoutMs?: number;
  /** Milliseconds for a TCP connection. @default 500 */
  readonly connectTimeoutMs?: number;
  /** Milliseconds from a connection to the server's readiness, and for `connect()` as a whole. @default 2000 */
  readonly readyTimeoutMs?: number;
  /** @default systemClock */
  readonly clock?: Clock;
  readonly emit?: Emit;
}

interface Write {
  readonly key: string;
  readonly value: Buffer;
  readonly ttlMs: number;
  readonly done: () => void;
}

/** So many commands in a row without an answer mean that the connection is dead, not slow. */
const TIMEOUTS_TO_RECONNECT = 3;
/** Values in one round trip: 64 of 16 KB are a megabyte, as much as fits the deadline. */
const PER_TRIP = 64;
/** Share of a lifetime that is left to chance, so that what was written together does not expire together. */
const JITTER = 0.1;

/**
 * The fleet's memory of pictures in Redis. It never slows the worker down: what Redis does not answer in time is a miss
 * and is counted (`image_cache` with `error`, once for each failed round trip), `degraded{reason="cache"}` says so, and
 * the connection comes back by itself.
 *
 * Reconnecting is the circuit breaker: after {@link TIMEOUTS_TO_RECONNECT} timeouts in a row the connection is dropped,
 * with all that is queued on it; until a new one has passed the readiness check, every call fails at once.
 */
export function redisCache(options: RedisCacheOptions): Cache {
  const clock = options.clock ?? systemClock;
  const emit = options.emit ?? silent;
  const commandTimeoutMs = options.commandTimeoutMs ?? 50;
  const readyTimeoutMs = options.readyTimeoutMs ?? 2_000;
  const redis = new Redis(options.url, {
    lazyConnect: true,
    connectTimeout: options.connectTimeoutMs ?? 500,
    disconnectTimeout: 100,
    maxRetriesPerRequest: 1,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    retryStrategy: (attempt) => Math.min(50 * 2 ** Math.min(attempt, 6), 2_000) * (0.5 + Math.random() / 2),
  });
  const degraded = { read: false, write: false };
  let writes: Write[] = [];
  let flushing: Promise<void> | null = null;
  let timeouts = 0;
  let lastError = '';
  let started = false;
  let stopped = false;

  function mark(what: 'read' | 'write', on: boolean, why = ''): void {
    const before = degraded.read || degraded.write;
    degraded[what] = on;
    const after = degraded.read || degraded.write;
    if (before === after || stopped) return;
    emit({ type: 'degraded', reason: 'cache', on: after });
    emit(
      after
        ? {
            type: 'note',
            level: 'warn',
            message: 'The picture cache fails; pictures are fetched anew.',
            detail: { why },
          }
        : { type: 'note', level: 'info', message: 'The picture cache works again.' },
    );
  }

  function failed(what: 'read' | 'write', error: unknown): void {
    emit({ type: 'image_cache', result: 'error' });
    mark(what, true, reasonOf(error));
    if (!(error instanceof Late)) return;
    timeouts += 1;
    if (timeouts < TIMEOUTS_TO_RECONNECT) return;
    timeouts = 0;
    redis.disconnect(true);
  }

  function succeeded(what: 'read' | 'write'): void {
    timeouts = 0;
    mark(what, false);
  }

  async function read(keys: readonly string[]): Promise<(Buffer | null)[]> {
    try {
      if (redis.status !== 'ready') throw new Error(lastError || 'not connected');
      const values = await within(clock, commandTimeoutMs, redis.mgetBuffer([...keys]));
      succeeded('read');
      // ioredis hands out slices of the socket's chunk: kept as they are, they would hold on to all of it.
      return values.map((value) => (value ? copyOf(value) : null));
    } catch (error) {
      failed('read', error);
      return keys.map(() => null);
    }
  }

  async function write(batch: readonly Write[]): Promise<void> {
    try {
      if (redis.status !== 'ready') throw new Error(lastError || 'not connected');
      const pipeline = redis.pipeline();
      for (const { key, value, ttlMs } of batch) pipeline.set(key, value, 'PX', ttlMs);
      const results = (await within(clock, commandTimeoutMs, pipeline.exec())) ?? [];
      const refused = results.find(([error]) => error !== null)?.[0];
      // Read-only, out of memory, not permitted: the server lives, so that reading goes on.
      if (refused) throw refused;
      succeeded('write');
    } catch (error) {
      failed('write', error);
    } finally {
      for (const { done } of batch) done();
    }
  }

  async function flush(): Promise<void> {
    const all = writes;
    writes = [];
    flushing = null;
    const trips: Promise<void>[] = [];
    for (let at = 0; at < all.length; at += PER_TRIP) trips.push(write(all.slice(at, at + PER_TRIP)));
    await Promise.all(trips);
  }

  // A server that accepts and then says nothing would hold ioredis in its handshake for good.
  let readiness: Timer | null = null;
  redis.on('connect', () => {
    readiness?.cancel();
    readiness = clock.after(readyTimeoutMs, () => {
      if (redis.status === 'connect') redis.disconnect(true);
    });
  });
  redis.on('ready', () => {
    readiness?.cancel();
    timeouts = 0;
    mark('read', false);
    mark('write', false);
  });
  redis.on('close', () => {
    readiness?.cancel();
    if (started) mark('read', true, lastError || 'the connection closed');
  });
  redis.on('error', (error: unknown) => {
    lastError = reasonOf(error);
  });

  return {
    async connect() {
      if (redis.status === 'ready') return;
      try {
        await within(clock, readyTimeoutMs, redis.connect());
        started = true;
      } catch (error) {
        redis.disconnect();
        const why = lastError || reasonOf(error);
        throw new MnerError('cache_unreachable', `Redis at ${placeOf(options.url)} does not answer: ${why}.`);
      }
    },
    async getMany(keys) {
      const trips: Promise<(Buffer | null)[]>[] = [];
      for (let at = 0; at < keys.length; at += PER_TRIP) trips.push(read(keys.slice(at, at + PER_TRIP)));
      return (await Promise.all(trips)).flat();
    },
    set(key, value, ttlSeconds) {
      return new Promise((done) => {
        const ttlMs = Math.max(1, Math.round(ttlSeconds * 1000 * (1 - JITTER * Math.random())));
        writes.push({ key, value, ttlMs, done });
        // Everything that this turn of the event loop writes goes out in one pipeline.
        flushing ??= new Promise((resolve) => setImmediate(() => void flush().then(resolve)));
      });
    },
    async stop() {
      stopped = true;
      await flushing;
      redis.disconnect();
    },
  };
}

/** No answer in time. */
class Late extends Error {}

/**
 * Rejects with {@link Late} when `ms` milliseconds pass. ioredis's own `commandTimeout` would punish Redis for a stall of
 * this process: after it the timer is due at once, while the answer, long in the socket's buffer, is read only in the
 * next phase of the event loop. So the verdict waits for that phase: `setImmediate` runs right after it.
 */
function within<T>(clock: Clock, ms: number, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(ms, () => setImmediate(() => reject(new Late(`no answer within ${ms} ms`))));
    work.then(resolve, reject).finally(() => timer.cancel());
  });
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  // The first word of a reply, or the system's code; a whole reply may quote what we sent.
  if ('code' in error && typeof error.code === 'string') return error.code;
  return /^[A-Z]{3,}\b/.exec(error.message)?.[0] ?? error.message;
}

/** Host and port without the credentials. */
function placeOf(url: string): string {
  return URL.canParse(url) ? new URL(url).host : 'the configured address';
}
