import { randomUUID } from 'node:crypto';
import { type Clock, delay, type Timer } from '../../clock.js';
import type { Remembered } from './codec.js';
import type { PictureStore } from './store.js';

/** What comes of asking for the only right in the fleet to work on a picture. */
export type Turn =
  /** It is ours, until `end`; where the cache cannot say who has it, everyone does. */
  | { readonly kind: 'ours'; end(): Promise<void> }
  /** Another worker has done it meanwhile. */
  | { readonly kind: 'known'; readonly entry: Remembered }
  /** Nobody wants the picture any more. */
  | { readonly kind: 'unwanted' }
  /** Nobody knows it, and there is no room for it. */
  | { readonly kind: 'shed' };

export interface TurnParts {
  readonly store: PictureStore;
  readonly clock: Clock;
  /** Milliseconds that a lease outlives its holder; the holder renews it three times in that time. */
  readonly leaseMs: number;
}

/** How often who waits asks again, in milliseconds: soon at first, most pictures take a tenth of a second. */
const FIRST_WAIT_MS = 20;
const LAST_WAIT_MS = 200;

/**
 * What is known of a picture, or else the right to work on it: waits for that, or for what another worker makes of it. If
 * the holder dies, its lease ends and the next one that asks has it: exactly one, since the store gives it to one.
 *
 * @param wanted whether somebody still waits for the picture
 * @param crowded whether there is no room for one more that is new; asked before anything is done for it
 */
export async function takeTurn(
  { store, clock, leaseMs }: TurnParts,
  key: string,
  wanted: () => boolean,
  crowded: () => boolean,
  signal: AbortSignal,
): Promise<Turn> {
  const token = randomUUID();
  const first = await store.recall(key, token, leaseMs);
  if (first.entry !== null) return { kind: 'known', entry: first.entry };
  // One that came with its lease is shed by who has that lease to give back.
  if (first.lease !== 'ours' && crowded()) return { kind: 'shed' };
  let claimed = first.lease === 'unasked' ? await store.claim(key, token, leaseMs) : first;
  for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(waitMs * 1.5, LAST_WAIT_MS)) {
    const { lease, entry } = claimed;
    if (entry !== null) {
      // It was written between our lookup and our lease.
      if (lease === 'ours') await store.release(key, token);
      return { kind: 'known', entry };
    }
    if (lease === 'unknown') return { kind: 'ours', end: async () => {} };
    if (lease === 'ours') return { kind: 'ours', end: hold(token) };
    // Each between half and whole, so that a fleet does not ask as one.
    await delay(clock, waitMs * (0.5 + Math.random() / 2), signal);
    if (signal.aborted || !wanted()) return { kind: 'unwanted' };
    claimed = await store.claim(key, token, leaseMs);
  }

  function hold(token: string): () => Promise<void> {
    let timer: Timer;
    let ended = false;
    const renew = () => {
      timer = clock.after(leaseMs / 3, () => {
        void store.claim(key, token, leaseMs).then(({ lease }) => {
          // Lost: we stood still for too long, and a successor works on it. The result is the same, whoever writes it.
          if (lease !== 'theirs' && !ended) renew();
        });
      });
    };
    renew();
    return async () => {
      ended = true;
      timer.cancel();
      await store.release(key, token);
    };
  }
}
