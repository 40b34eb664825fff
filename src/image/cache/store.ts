import type { Clock } from '../../clock.js';
import type { Emit } from '../../telemetry/events.js';
import type { Cache, Claim } from '../port.js';
import type { Codec, Remembered } from './codec.js';

/** Seconds for which each kind of answer is remembered. */
export type Lifetimes = Readonly<Record<Remembered['status'], number>>;

/** Long where asking again gives the same answer, short where the world may have recovered. */
export const LIFETIMES: Lifetimes = {
  used: 7 * 24 * 3600,
  not_found: 6 * 3600,
  unreadable: 6 * 3600,
  too_large: 6 * 3600,
  // Not for days, since an operator may extend the allow-list.
  refused: 3600,
  unreachable: 60,
  rate_limited: 60,
  timed_out: 30,
};

/** The cache in terms of pictures. */
export interface PictureStore {
  /**
   * What is known of a picture. All that one callback of the event loop asks for goes out as one lookup. A picture that is
   * alone in its lookup is asked for together with the lease for `ms` milliseconds: with company a second round trip, for
   * those that are new, is shared, and looking up stays as cheap as it can be.
   */
  recall(key: string, token: string, ms: number): Promise<Answer>;
  /**
   * Resolves when the cache has it, or has given up.
   * @param retryMs after which another answer is likely; it shortens the entry's lifetime @default the lifetime of its kind
   */
  remember(key: string, entry: Remembered, retryMs?: number): Promise<void>;
  /** Asks for the lease on a picture, as `Cache.claim` does; the entry is null where it is none. Counted nowhere. */
  claim(key: string, token: string, ms: number): Promise<Answer>;
  release(key: string, token: string): Promise<void>;
}

/** An entry, null where nothing is known; and the lease, which may be `unasked` with and without one. */
export interface Answer {
  readonly lease: Claim['lease'];
  readonly entry: Remembered | null;
}

export interface PictureStoreParts {
  readonly cache: Cache;
  readonly codec: Codec;
  readonly lifetimes: Lifetimes;
  readonly clock: Clock;
  readonly emit: Emit;
  /** Numbers from 0 to 1. @default Math.random */
  readonly random?: () => number;
}

interface Question {
  readonly key: string;
  readonly token: string;
  readonly ms: number;
  readonly answer: (answer: Answer) => void;
}

/** Share of a lifetime that is left to chance, so that what was written together does not expire together. */
const JITTER = 0.1;

export function createPictureStore(parts: PictureStoreParts): PictureStore {
  const { cache, codec, lifetimes, clock, emit, random = Math.random } = parts;
  let asked: Question[] = [];

  async function ask(): Promise<void> {
    const batch = asked;
    asked = [];
    const start = clock.now();
    const [only] = batch;
    if (only && batch.length === 1) {
      const { lease, value } = await cache.findOrClaim(only.key, only.token, only.ms);
      only.answer({ lease, entry: read(value) });
    } else {
      const values = await cache.getMany(batch.map(({ key }) => key));
      batch.forEach(({ answer }, index) => {
        answer({ lease: 'unasked', entry: read(values[index] ?? null) });
      });
    }
    emit({ type: 'stage', stage: 'cache_get', seconds: (clock.now() - start) / 1000 });
  }

  function read(value: Buffer | null): Remembered | null {
    const entry = value && codec.decode(value);
    const result = value === null ? 'miss' : entry === null ? 'corrupt' : entry.status === 'used' ? 'hit' : 'negative';
    emit({ type: 'image_cache', result });
    return entry;
  }

  return {
    recall(key, token, ms) {
      return new Promise((answer) => {
        // A tick comes once all promises are settled that this callback has kept: by then every tweet of a batch has asked.
        if (asked.push({ key, token, ms, answer }) === 1) process.nextTick(() => void ask());
      });
    },
    remember(key, entry, retryMs = Number.POSITIVE_INFINITY) {
      // Never for less than a second: a picture that many tweets name is asked for at once again.
      const seconds = Math.max(1, Math.min(lifetimes[entry.status], retryMs / 1000));
      return cache.set(key, codec.encode(entry), seconds * (1 - JITTER * random()));
    },
    async claim(key, token, ms) {
      const { lease, value } = await cache.claim(key, token, ms);
      return { lease, entry: value && codec.decode(value) };
    },
    release: (key, token) => cache.release(key, token),
  };
}
