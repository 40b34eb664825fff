import type { Clock } from '../clock.js';
import type { OpenLane } from './open-lane.js';

export interface AgesOptions {
  /** A lane whose oldest record has been here for longer reads no more, in milliseconds. */
  readonly highMs: number;
  /** Once it is this or less, it reads on. Well below the other, so that a lane at the limit does not flip. */
  readonly lowMs: number;
  readonly clock: Clock;
  readonly pause: (held: OpenLane) => void;
  readonly resume: (held: OpenLane) => void;
}

/**
 * Back-pressure by age, each lane for itself. What waits here is work that nobody else can take: a lane that does not get on, be it that
 * its model is slow or that its outcomes cannot be written, keeps what it has and hoards no more, while the others go on.
 */
export interface Ages {
  /** To be told when records came to a lane or left it, and now and then. */
  look(held: OpenLane): void;
}

export function createAges({ highMs, lowMs, clock, pause, resume }: AgesOptions): Ages {
  return {
    look(held) {
      const { oldestArrival } = held.lane;
      const age = oldestArrival === undefined ? 0 : clock.now() - oldestArrival;
      if (!held.stale && age > highMs) {
        held.stale = true;
        pause(held);
      } else if (held.stale && age <= lowMs) {
        held.stale = false;
        resume(held);
      }
    },
  };
}
