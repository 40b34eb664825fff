import type { ChainableCommander } from 'ioredis';
import { type Clock, systemClock } from '../../clock.js';
import { MnerError, remedyBeside } from '../../errors.js';
import { type Emit, silent } from '../../telemetry/events.js';
import type { Cache, Claim } from '../port.js';
import { copyOf } from './copy.js';
import { type RedisClientOptions, redisClient } from './redis-client.js';
import { reasonOf, redisHealth, type Work } from './redis-health.js';
import { CLAIM, FIND_OR_CLAIM, leaseKey, RELEASE } from './redis-lease.js';
import { parseRedisUrl } from './redis-url.js';

export interface RedisCacheOptions extends Omit<RedisClientOptions, 'clock'> {
  /** Milliseconds that a lookup or a write may take before it counts as a miss, or as not written. @default 50 */
  readonly commandTimeoutMs?: number;
  /** @default systemClock */
  readonly clock?: Clock;
  readonly emit?: Emit;
}

/** One command of a pipeline, and what happens with its answer; undefined when there is none. */
interface Request {
  readonly key: string;
  readonly add: (pipeline: ChainableCommander) => void;
  readonly done: (reply: unknown) => void;
}

/** So many round trips in a row without an answer mean that the connection is dead, not slow. */
const TIMEOUTS_TO_RECONNECT = 3;
/** Values in one round trip: 64 of 16 KB are a megabyte, as much as fits the deadline. */
const PER_TRIP = 64;

/**
 * The fleet's memory of pictures in Redis: one server, one behind Sentinels, or a Cluster. It never slows the worker
 * down: what Redis does not answer in time is a miss and is counted (`image_cache` with `error`, once for each round trip
 * that fails or is spared), `degraded{reason="cache"}` says so, and it comes back by itself.
 *
 * Two circuit breakers. Against silence it is the connection: after {@link TIMEOUTS_TO_RECONNECT} timeouts in a row it is
 * dropped, with all that is queued on it, and until a new one has passed the readiness check every call fails at once.
 * Against refusals (OOM, READONLY, LOADING, NOAUTH, NOPERM) it is `redis-health.ts`.
 */
export function redisCache(options: RedisCacheOptions): Cache {
  const clock = options.clock ?? systemClock;
  const emit = options.emit ?? silent;
  const commandTimeoutMs = options.commandTimeoutMs ?? 50;
  const readyTimeoutMs = options.readyTimeoutMs ?? 2_000;
  const timeouts = new Map<string, number>();
  const [claims, writes, releases]: [Request[], Request[], Request[]] = [[], [], []];
  const underWay = new Set<Promise<void>>();
  let lastError = '';
  let started = false;
  let stopped = false;

  const client = redisClient(
    { ...options, clock },
    {
      onReady(node) {
        timeouts.delete(node);
        health.renewed(node);
      },
      onClose(node) {
        timeouts.delete(node);
        if (!started || stopped) return;
        const key = client.keyOn(node);
        // One without slots has nothing that would be missed.
        if (key !== null) health.failed('read', node, key, new Error(lastError || 'the connection closed'));
      },
      onError: (error) => {
        lastError = reasonOf(error);
      },
    },
  );
  const health = redisHealth({ clock, emit, probe, reconnect: client.reconnect });

  /** One round trip to one node; undefined when it failed, which is then counted. */
  async function trip<T>(work: Work, node: string, key: string, send: () => Promise<T>): Promise<T | undefined> {
    try {
      if (health.refuses(work, node)) {
        emit({ type: 'image_cache', result: 'error' });
        return undefined;
      }
      // That is a matter of the connection, whatever the work.
      if (!client.ready(node)) throw new Away(lastError || 'not connected');
      const result = await within(clock, commandTimeoutMs, send());
      timeouts.delete(node);
      health.succeeded(work, node);
      return result;
    } catch (error) {
      emit({ type: 'image_cache', result: 'error' });
      if (!stopped) health.failed(error instanceof Away ? 'read' : work, node, key, error);
      if (error instanceof Late) late(node);
      return undefined;
    }
  }

  function late(node: string): void {
    const count = (timeouts.get(node) ?? 0) + 1;
    timeouts.set(node, count);
    if (count < TIMEOUTS_TO_RECONNECT) return;
    timeouts.delete(node);
    client.reconnect(node);
  }

  async function read(node: string, keys: readonly string[]): Promise<(Buffer | null)[]> {
    const values = await trip('read', node, keys[0] ?? '', () => client.values(keys));
    // ioredis hands out slices of the socket's chunk: kept as they are, they would hold on to all of it.
    return keys.map((_, index) => own(values?.[index]));
  }

  async function send(work: 'write' | 'lease', node: string, requests: readonly Request[]): Promise<void> {
    const replies = await trip(work, node, requests[0]?.key ?? '', () => answers(requests));
    requests.forEach(({ done }, index) => {
      done(replies?.[index]);
    });
  }

  async function answers(requests: readonly Pick<Request, 'add'>[]): Promise<unknown[]> {
    const pipeline = client.pipeline();
    for (const { add } of requests) add(pipeline);
    const results = (await pipeline.exec()) ?? [];
    return results.map(([error, reply]) => {
      // Read-only, out of memory, not permitted: the server lives, so that reading goes on.
      if (error) throw error;
      return reply;
    });
  }

  /**
   * Everything that one callback of the event loop asks for, with all that is settled in its wake, goes out in one pipeline
   * for each node and kind of work. A tick comes right after that; an immediate would stand behind other sockets first.
   */
  function ask(request: Request): void {
    if (claims.push(request) === 1) process.nextTick(() => flush('lease', claims));
  }

  /**
   * What no tweet waits for stands behind what tweets ask for next. Values go first: who finds a lease given back finds the
   * value too.
   */
  function tell(queue: Request[], request: Request): void {
    queue.push(request);
    if (writes.length + releases.length === 1) setImmediate(flushAll);
  }

  function flushAll(): void {
    flush('lease', claims);
    flush('write', writes);
    flush('lease', releases);
  }

  function flush(work: 'write' | 'lease', queue: Request[]): void {
    for (const [node, requests] of trips(queue.splice(0), ({ key }) => key)) {
      const sent = send(work, node, requests).finally(() => underWay.delete(sent));
      underWay.add(sent);
    }
  }

  /** In groups of one node, none too large for the deadline. */
  function trips<T>(all: readonly T[], keyOf: (one: T) => string): [node: string, part: T[]][] {
    const byNode = new Map<string, T[]>();
    for (const one of all) {
      const node = client.nodeOf(keyOf(one));
      const group = byNode.get(node);
      if (group) group.push(one);
      else byNode.set(node, [one]);
    }
    return [...byNode].flatMap(([node, group]) =>
      Array.from({ length: Math.ceil(group.length / PER_TRIP) }, (_, at): [string, T[]] => [
        node,
        group.slice(at * PER_TRIP, (at + 1) * PER_TRIP),
      ]),
    );
  }

  async function probe(work: Work, key: string): Promise<void> {
    if (!client.ready(client.nodeOf(key))) throw new Away('not connected');
    const beside = `mner:img:probe:{${key}}`;
    const add = {
      read: (pipeline: ChainableCommander) => pipeline.get(key),
      write: (pipeline: ChainableCommander) => pipeline.set(beside, '', 'PX', 1_000),
      lease: (pipeline: ChainableCommander) =>
        pipeline.call('EVAL', CLAIM, 2, leaseKey(beside), beside, 'probe', 1_000),
    }[work];
    await within(clock, commandTimeoutMs, answers([{ add }]));
  }

  async function getMany(keys: readonly string[]): Promise<(Buffer | null)[]> {
    const found: (Buffer | null)[] = keys.map(() => null);
    const places = trips([...keys.keys()], (index) => keys[index] as string);
    await Promise.all(
      places.map(async ([node, part]) => {
        const values = await read(
          node,
          part.map((index) => keys[index] as string),
        );
        part.forEach((index, at) => {
          found[index] = values[at] ?? null;
        });
      }),
    );
    return found;
  }

  function claim(script: string, key: string, token: string, ms: number): Promise<Claim> {
    return new Promise((resolve) => {
      ask({
        key,
        add: (pipeline) => pipeline.callBuffer('EVAL', script, 2, leaseKey(key), key, token, ms),
        done: (reply) => resolve(claimOf(reply)),
      });
    });
  }

  return {
    async connect() {
      try {
        await within(clock, readyTimeoutMs, client.connect());
        started = true;
      } catch (error) {
        client.disconnect();
        const said = lastError || reasonOf(error);
        // A server that wants a client certificate says so and hangs up, and the end may overtake the word.
        const cut = options.url.startsWith('rediss:') && /^(ECONNRESET|EPIPE|Connection is closed)/.test(said);
        const why = cut ? `it hangs up (${said}); it may ask for a client certificate (\`redis_cert_file\`)` : said;
        throw new MnerError('cache_unreachable', `Cannot use Redis at ${placeOf(options.url)}: ${why}.`, {
          remedy: remedyBeside(why),
        });
      }
    },
    getMany,
    set(key, value, ttlSeconds) {
      const ttlMs = Math.max(1, Math.round(ttlSeconds * 1000));
      return new Promise((resolve) => {
        tell(writes, {
          key,
          add: (pipeline) => pipeline.set(key, value, 'PX', ttlMs),
          done: () => resolve(),
        });
      });
    },
    claim: (key, token, ms) => claim(CLAIM, key, token, ms),
    async findOrClaim(key, token, ms) {
      const noLeases = () => health.refuses('lease', client.nodeOf(key));
      if (!noLeases()) {
        const answer = await claim(FIND_OR_CLAIM, key, token, ms);
        if (answer.lease !== 'unknown' || !noLeases()) return answer;
      }
      // A user without the right to run scripts may well read.
      const [value = null] = await getMany([key]);
      return { lease: value ? 'unasked' : 'unknown', value };
    },
    release(key, token) {
      return new Promise((resolve) => {
        tell(releases, {
          key,
          add: (pipeline) => pipeline.call('EVAL', RELEASE, 1, leaseKey(key), token),
          done: () => resolve(),
        });
      });
    },
    async stop() {
      flushAll();
      await Promise.all(underWay);
      stopped = true;
      health.stop();
      client.disconnect();
    },
  };
}

/** By the number that a script answers with. */
const LEASES = ['theirs', 'ours', 'unasked'] as const;

function claimOf(reply: unknown): Claim {
  if (!Array.isArray(reply)) return { lease: 'unknown', value: null };
  return { lease: LEASES[Number(reply[0])] ?? 'unknown', value: own(reply[1]) };
}

function own(value: unknown): Buffer | null {
  return Buffer.isBuffer(value) ? copyOf(value) : null;
}

/** No connection. */
class Away extends Error {}

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

/** Hosts and ports without the credentials. */
function placeOf(url: string): string {
  return parseRedisUrl(url)
    .hosts.map(({ host, port }) => `${host}:${port}`)
    .join(',');
}
