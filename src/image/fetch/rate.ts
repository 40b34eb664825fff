/** A bucket that holds a second's worth of tokens, and fills as they are spent. */
export interface TokenBucket {
  /**
   * Takes the next token. Returns the milliseconds until it is there, 0 for at once; null, and takes none, when that would
   * be more than `patienceMs`.
   */
  take(now: number, patienceMs: number): number | null;
}

/** @param perSecond tokens that flow in; as many may be spent at once after a rest, and never less than one */
export function tokenBucket(perSecond: number): TokenBucket {
  const interval = 1000 / perSecond;
  const burst = Math.max(0, 1000 - interval);
  // The bucket is kept as the time at which it will be full: taking a token moves that by one interval.
  let full = Number.NEGATIVE_INFINITY;
  return {
    take(now, patienceMs) {
      const wait = Math.max(0, full - now - burst);
      if (wait > patienceMs) return null;
      full = Math.max(full, now) + interval;
      return wait;
    },
  };
}
