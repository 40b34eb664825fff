import { type Clock, delay } from '../clock.js';
import { asMnerError, type MnerError } from '../errors.js';
import type { Delivery } from './delivery.js';
import type { OpenLane } from './open-lane.js';

export interface OpeningsOptions {
  readonly delivery: Delivery;
  readonly clock: Clock;
  /** Deliveries that come back void for longer than this are told, in milliseconds. */
  readonly budgetMs: number;
  /** It may be read. */
  readonly opened: (held: OpenLane) => void;
  /** Nothing could be delivered of it within the budget. */
  readonly spent: (held: OpenLane, error: MnerError) => void;
  /** It can be opened again, and nothing is known against writing to it. */
  readonly mended: (held: OpenLane) => void;
  readonly failed: (error: MnerError) => void;
}

/** Partitions on their way to be read: opened by their delivery, and once more whenever one of its deliveries comes back void. */
export interface Openings {
  /** Has the delivery open the lane's partition, which is paused. */
  open(held: OpenLane): void;
  /** The same for the lane of a partition whose last delivery came back void; from the second in a row on it waits first. */
  again(held: OpenLane, error: MnerError): void;
  /** A delivery of this lane came through. */
  delivered(held: OpenLane): void;
  /** The epoch is over. */
  reset(): void;
  /** Resolves when none is under way. Never rejects. */
  settled(): Promise<void>;
}

/** How long a partition is left alone after somebody else has taken it over: the group tells us meanwhile that it is his. */
const FENCED_PAUSE_MS = 2000;

export function createOpenings(options: OpeningsOptions): Openings {
  const { delivery, clock, budgetMs, opened, spent, mended, failed } = options;
  const underWay = new Set<Promise<void>>();
  /** Deliveries that came back void since the last one that did not, and when the first of them did, by partition. */
  const voids = new Map<string, { readonly times: number; readonly since: number }>();

  const enter = (held: OpenLane, waitMs: number): void => {
    const entering = (async () => {
      const { handle, lane } = held;
      try {
        if (waitMs > 0) await delay(clock, waitMs, handle.signal);
        if (lane.state === 'closed') return;
        await delivery.open?.(handle);
      } catch (error) {
        if (lane.state !== 'closed') failed(asMnerError(error));
      }
      if (lane.state === 'closed') return;
      held.reading = true;
      // After a delivery that came back void only the next one can tell.
      if (!voids.has(held.key)) mended(held);
      opened(held);
    })();
    underWay.add(entering);
    void entering.finally(() => underWay.delete(entering));
  };

  return {
    open: (held) => enter(held, 0),
    again(held, error) {
      const { times, since } = voids.get(held.key) ?? { times: 0, since: clock.now() };
      voids.set(held.key, { times: times + 1, since });
      if (clock.now() - since >= budgetMs) spent(held, error);
      const waitMs = times === 0 ? 0 : Math.min(100 * 2 ** times, 5000);
      enter(held, error.code === 'producer_fenced' ? FENCED_PAUSE_MS : waitMs);
    },
    delivered: ({ key }) => void voids.delete(key),
    reset: () => voids.clear(),
    settled: async () => void (await Promise.allSettled(underWay)),
  };
}
