import type { Clock, Timer } from '../clock.js';
import { MnerError } from '../errors.js';
import type { Emit } from '../telemetry/events.js';

export interface DrainOptions {
  readonly deadlineMs: number;
  /** Records that are not finished, written and committed yet. */
  readonly inFlight: () => number;
  /** Gives up what has not begun; it comes back at once, and what has begun goes on. */
  readonly letGo: () => void;
  readonly clock: Clock;
  readonly emit: Emit;
}

/**
 * A drain within its time. The first half is for all that is in process, so that as little as possible is done twice; the second for
 * what cannot be called back, such as a batch that the model has. The rest is left to the next owner.
 *
 * @param drained resolves when nothing is in flight
 * @throws MnerError `drain_timed_out`
 */
export async function drainInTime(drained: Promise<void>, options: DrainOptions): Promise<void> {
  const { deadlineMs, inFlight, letGo, clock, emit } = options;
  const half = clock.after(deadlineMs / 2, () => {
    const message = `${inFlight()} records are in flight after half of the drain's time; those that no batch has yet are left to the next worker.`;
    emit({ type: 'note', level: 'info', message });
    letGo();
  });
  let end: Timer | undefined;
  const late = new Promise<never>((_, reject) => {
    end = clock.after(deadlineMs, () => {
      const message = `${inFlight()} records were still in flight after ${deadlineMs} ms of draining; the next worker does them again.`;
      reject(new MnerError('drain_timed_out', message));
    });
  });
  await Promise.race([drained, late]).finally(() => {
    half.cancel();
    end?.cancel();
  });
}
