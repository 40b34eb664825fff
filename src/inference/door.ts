import { type Clock, systemClock } from '../clock.js';
import type { Priority } from './batch-queue.js';

export interface DoorOptions {
  /** Room behind the door, in the unit of the weights. */
  readonly capacity: number;
  /** By so much later than it came a replay counts among the live ones, in ms; as in the batch queue. @default 0 */
  readonly patienceMs?: number;
  readonly clock?: Clock;
}

/**
 * The door before the queue of batches: it bounds what waits there by weight, whatever comes.
 *
 * Rows in the queue are many times larger than the texts that they are made from (a word takes some 250 bytes, and a text may hold
 * 12,500 of them), so bytes of input alone would not bound them. Who finds no room waits as what it was before: a record whose bytes its
 * lane counts. When those are too many, the lanes pause their partitions. So a full queue pauses partitions by bytes.
 *
 * They enter in the order of their turns, as the batch queue has them (a replay's is `patienceMs` after its arrival); the first waits
 * until there is room for it, and nobody smaller slips past.
 */
export interface Door {
  /**
   * Waits for room. What weighs more than there is at all enters alone.
   *
   * @returns gives the room back; to be called once
   * @throws the signal's reason, when it aborts first; the place in the row is then free
   */
  enter(weight: number, priority: Priority, signal?: AbortSignal): Promise<() => void>;
  /** Weight of those who are in. */
  readonly held: number;
  /** How many wait. */
  readonly waiting: number;
}

interface Guest {
  readonly weight: number;
  readonly turn: number;
  readonly order: number;
  enter(): void;
}

export function createDoor({ capacity, patienceMs = 0, clock = systemClock }: DoorOptions): Door {
  /** Sets keep the order of arrival, and give up a place from their middle at no cost. */
  const rows: Readonly<Record<Priority, Set<Guest>>> = { live: new Set(), replay: new Set() };
  let held = 0;
  let arrivals = 0;

  const next = (): Guest | undefined => {
    const [[live], [replay]] = [rows.live, rows.replay];
    if (!live || !replay) return live ?? replay;
    return live.turn < replay.turn || (live.turn === replay.turn && live.order < replay.order) ? live : replay;
  };

  const fits = (weight: number) => held === 0 || held + weight <= capacity;

  const admit = (): void => {
    for (let guest = next(); guest && fits(guest.weight); guest = next()) {
      rows.live.delete(guest);
      rows.replay.delete(guest);
      held += guest.weight;
      guest.enter();
    }
  };

  const leaving = (weight: number) => () => {
    held -= weight;
    admit();
  };

  return {
    enter(weight, priority, signal) {
      if (signal?.aborted) return Promise.reject(signal.reason);
      if (fits(weight) && !next()) {
        held += weight;
        return Promise.resolve(leaving(weight));
      }
      return new Promise((resolve, reject) => {
        const giveUp = () => {
          rows[priority].delete(guest);
          reject(signal?.reason);
          // It may have been the first, and too large for the room that there is.
          admit();
        };
        const guest: Guest = {
          weight,
          turn: clock.now() + (priority === 'live' ? 0 : patienceMs),
          order: arrivals++,
          enter() {
            signal?.removeEventListener('abort', giveUp);
            resolve(leaving(weight));
          },
        };
        rows[priority].add(guest);
        signal?.addEventListener('abort', giveUp, { once: true });
      });
    },
    get held() {
      return held;
    },
    get waiting() {
      return rows.live.size + rows.replay.size;
    },
  };
}
