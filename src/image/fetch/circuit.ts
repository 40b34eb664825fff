import { CircuitState, ConsecutiveBreaker, circuitBreaker, handleWhenResult } from 'cockatiel';
import type { Clock } from '../../clock.js';

/** Keeps away from a host that fails again and again; after a pause, one request finds out whether it is well. */
export interface Circuit {
  /** Milliseconds for which nothing should be asked; 0 when something may. */
  closedFor(): number;
  /** What the work answers decides about the host's health. Work that throws says nothing about it. */
  run<T extends { readonly failing: boolean }>(work: () => Promise<T>): Promise<T>;
}

export interface CircuitOptions {
  /** Failures in a row after which the host is left alone. */
  readonly failures: number;
  readonly pauseMs: number;
  readonly clock: Clock;
  /** Called each time the host is to be left alone. */
  readonly opened: () => void;
}

/**
 * The library measures its pause on the wall clock, which jumps; so it is told that any moment is late enough, and the
 * pause is kept here, by ours.
 */
const NO_PAUSE = { duration: Number.NEGATIVE_INFINITY, next: () => NO_PAUSE };

export function createCircuit({ failures, pauseMs, clock, opened }: CircuitOptions): Circuit {
  const breaker = circuitBreaker(
    handleWhenResult((result) => (result as { failing: boolean }).failing),
    { breaker: new ConsecutiveBreaker(failures), halfOpenAfter: NO_PAUSE },
  );
  let until = 0;
  breaker.onBreak(() => {
    until = clock.now() + pauseMs;
    opened();
  });
  return {
    closedFor() {
      if (breaker.state === CircuitState.Open) return Math.max(0, until - clock.now());
      // The one request is under way: the library would let others wait for its end, and they would fill the host's slots.
      return breaker.state === CircuitState.HalfOpen ? pauseMs : 0;
    },
    run: (work) => breaker.execute(work),
  };
}
