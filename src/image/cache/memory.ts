import { LRUCache } from 'lru-cache';
import { type Clock, systemClock } from '../../clock.js';
import type { Cache, Claim } from '../port.js';
import { copyOf } from './copy.js';

export interface MemoryCacheOptions {
  /** Bytes of values and keys together; the least recently used go first. @default 67108864 */
  readonly maxBytes?: number;
  /** @default systemClock */
  readonly clock?: Clock;
}

/** A cache in this process, bounded by bytes: for commands without Redis, and for tests. */
export function memoryCache(options: MemoryCacheOptions = {}): Cache {
  const clock = options.clock ?? systemClock;
  const entries = new LRUCache<string, Buffer>({
    maxSize: options.maxBytes ?? 64 * 1024 * 1024,
    sizeCalculation: (value, key) => value.length + 2 * key.length + ENTRY_BYTES,
    ttlResolution: 0,
    // One more, since lru-cache takes the time 0 for none.
    perf: { now: () => clock.now() + 1 },
  });
  const leases = new Map<string, { readonly token: string; readonly ends: number }>();
  /** Leases whose holders never came back go when others are taken: the map stays as small as what is in work. */
  const sweep = () => {
    for (const [key, { ends }] of leases) {
      // In the order in which they were taken, which is nearly that in which they end.
      if (ends > clock.now()) return;
      leases.delete(key);
    }
  };
  // Copies both ways: what a caller does with its buffer is no concern of the next one.
  const copied = (key: string) => {
    const value = entries.get(key);
    return value ? copyOf(value) : null;
  };
  const claim = (key: string, token: string, ms: number): Claim => {
    sweep();
    const holder = leases.get(key);
    const free = holder === undefined || holder.token === token || holder.ends <= clock.now();
    if (free) {
      leases.delete(key);
      leases.set(key, { token, ends: clock.now() + ms });
    }
    return { lease: free ? 'ours' : 'theirs', value: copied(key) };
  };
  return {
    async connect() {},
    async getMany(keys) {
      return keys.map(copied);
    },
    async set(key, value, ttlSeconds) {
      entries.set(key, copyOf(value), { ttl: ttlSeconds * 1000 });
    },
    async claim(key, token, ms) {
      return claim(key, token, ms);
    },
    async findOrClaim(key, token, ms) {
      const value = copied(key);
      return value ? { lease: 'unasked', value } : claim(key, token, ms);
    },
    async release(key, token) {
      if (leases.get(key)?.token === token) leases.delete(key);
    },
    async stop() {
      leases.clear();
      entries.clear();
    },
  };
}

/** What an entry costs beside its bytes, roughly. */
const ENTRY_BYTES = 200;
