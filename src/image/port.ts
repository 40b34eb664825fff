import type { ImageStatus } from '../telemetry/events.js';

export type { ImageStatus } from '../telemetry/events.js';

/** A photo of a tweet: where it is, or its bytes in base64, and how its author describes it. */
export interface Photo {
  readonly url?: string;
  readonly data?: string;
  readonly altText?: string;
}

/** What the vision encoder sees in a picture. Float16 values travel as their bits. Shapes stand in docs/bundles.md. */
export interface Features {
  readonly grid: Uint16Array;
  readonly embedding: Uint16Array;
  /** The best tags, best first. */
  readonly tags: readonly { readonly tag: number; readonly score: number }[];
  /** At most five, best first; the box as x0, y0, x1, y1 in shares of width and height. */
  readonly objects: readonly {
    readonly class: number;
    readonly score: number;
    readonly box: readonly [number, number, number, number];
  }[];
  /** The words in the picture, with a space between them, at most 300 code points; absent where they were not read. */
  readonly words?: string;
}

/** One look at a tweet's picture. */
export type Look =
  | {
      readonly status: 'used';
      readonly cache: 'hit' | 'miss';
      readonly features: Features;
      /** Of the picture as it came, upright, in pixels; absent where only its features are remembered. */
      readonly size?: { readonly width: number; readonly height: number };
    }
  | {
      readonly status: Exclude<ImageStatus, 'used'>;
      readonly cache: 'hit' | 'miss' | null;
      /** One sentence for people, without the URL's query; absent where the status says all, or all that is remembered. */
      readonly detail?: string | undefined;
    };

/** The port to where pictures come from. Adapters: `fetch/http.ts` (undici, under the address policy) and `fetch/memory.ts`. */
export interface Origin {
  /** Never throws for what an origin does: every failure is a status. */
  fetch(url: string, signal: AbortSignal): Promise<Fetched>;
  stop(): Promise<void>;
}

export type Fetched = (
  | { readonly status: 'ok'; readonly bytes: Buffer }
  | {
      readonly status: Extract<
        ImageStatus,
        'unreachable' | 'refused' | 'not_found' | 'too_large' | 'unreadable' | 'timed_out' | 'rate_limited'
      >;
      /** One sentence for people, without the URL's query. */
      readonly detail: string;
      /** Milliseconds until asking again may give another answer, where that is known. */
      readonly retryMs?: number;
    }
) & {
  /** Where it was sent on to, without queries. */
  readonly redirects?: readonly string[];
};

/** The port to the fleet's memory of pictures. Adapters: `cache/redis.ts` (ioredis) and `cache/memory.ts`. */
export interface Cache {
  /** Checks that the store answers. @throws MnerError `cache_unreachable` */
  connect(): Promise<void>;
  /** Values in the order of the keys, null for a miss. A store that fails answers with misses and reports itself degraded. */
  getMany(keys: readonly string[]): Promise<(Buffer | null)[]>;
  /** Writes without waiting for the store longer than its own deadline; a failed write is counted, never thrown. */
  set(key: string, value: Buffer, ttlSeconds: number): Promise<void>;
  /**
   * Takes the lease on a key's value for `ms` milliseconds, or prolongs it where `token` has it already, and reads the
   * value in the same step: who comes after the holder's release sees what the holder wrote. Never throws.
   */
  claim(key: string, token: string, ms: number): Promise<Claim>;
  /**
   * The value, or where there is none the lease, as {@link claim}, in one step: what is new costs one round trip. Never
   * throws. Where a store can be read but gives no lease, its values are still found.
   */
  findOrClaim(key: string, token: string, ms: number): Promise<Claim>;
  /** Gives the lease back; does nothing where `token` has it no longer. Never throws. */
  release(key: string, token: string): Promise<void>;
  stop(): Promise<void>;
}

/**
 * What a worker learns when it asks for a lease. `unknown`: the store fails, and nobody can say who works on the key.
 * `unasked`: the value was found, so that no lease was taken.
 */
export interface Claim {
  readonly lease: 'ours' | 'theirs' | 'unknown' | 'unasked';
  readonly value: Buffer | null;
}
