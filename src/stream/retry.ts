import { type Clock, delay } from '../clock.js';
import { asMnerError, type MnerError } from '../errors.js';

export interface RetryOptions {
  readonly clock: Clock;
  /** Ends the waiting; the error of the last attempt is thrown then. */
  readonly signal: AbortSignal;
  /** Told before each wait. */
  readonly stumbled?: (error: MnerError, waitMs: number) => void;
  /** Told before each further attempt. */
  readonly recovered?: () => void;
  /** Failing for longer than this spends the budget, in milliseconds. @default never */
  readonly budgetMs?: number | undefined;
  /** Told once when the budget is spent, and tried on. @default the last error is thrown then */
  readonly spent?: (error: MnerError) => void;
  /** A number from 0 to 1. @default Math.random */
  readonly random?: () => number;
}

const FIRST_WAIT_MS = 100;
const LONGEST_WAIT_MS = 5000;

/**
 * Tries until it works: an error of the class `retryable` is waited out, twice as long each time up to 5 seconds, with jitter, so
 * that lanes and workers do not come back in step. Everything else is thrown. What is at fault decides what follows a budget
 * that is spent: a record is given up, so the error is thrown; a broker is waited for, and `spent` tells.
 *
 * @throws MnerError of any other class, or of any class once `signal` aborts
 */
export async function persist<T>(attempt: () => Promise<T>, options: RetryOptions): Promise<T> {
  const {
    clock,
    signal,
    stumbled,
    recovered,
    budgetMs = Number.POSITIVE_INFINITY,
    spent,
    random = Math.random,
  } = options;
  let deadline: number | undefined;
  for (let longest = FIRST_WAIT_MS; ; longest = Math.min(longest * 2, LONGEST_WAIT_MS)) {
    try {
      return await attempt();
    } catch (cause) {
      const error = asMnerError(cause);
      if (error.class !== 'retryable' || signal.aborted) throw error;
      deadline ??= clock.now() + budgetMs;
      if (clock.now() >= deadline) {
        if (!spent) throw error;
        spent(error);
        deadline = Number.POSITIVE_INFINITY;
      }
      const wait = longest * (0.5 + random() / 2);
      stumbled?.(error, wait);
      await delay(clock, wait, signal);
      if (signal.aborted) throw error;
      recovered?.();
    }
  }
}
