import type { Clock } from '../clock.js';
import type { MnerError } from '../errors.js';
import type { Emit } from '../telemetry/events.js';
import type { OpenLane } from './open-lane.js';
import type { Consumer, InputRecord } from './port.js';

export interface HaltsOptions {
  readonly consumer: Pick<Consumer, 'pause'>;
  /** How long a record must still wait before it may be processed, in milliseconds; 0 for most. */
  readonly waitMs: (record: InputRecord) => number;
  /** A record's time has come. */
  readonly due: (held: OpenLane) => void;
  /** Nothing of this holds the lane any more; it is read again unless something else does. */
  readonly over: (held: OpenLane) => void;
  readonly clock: Clock;
  readonly emit: Emit;
}

/**
 * Why one lane reads nothing while the others go on: its next record must wait for its time, or nothing can be written for it
 * for longer than the retry budget allows.
 */
export interface Halts {
  /** Whether the record may be processed. If not, its partition is paused, and `due` is called when its time has come. */
  mayStart(held: OpenLane, record: InputRecord): boolean;
  /**
   * Its writes have failed for too long: it reads no more until one succeeds. One that is being opened is not read as it is, and
   * must be once it is open, since only what it reads then can show whether it can be written.
   */
  stall(held: OpenLane, error: MnerError): void;
  /** A write succeeded. */
  flow(held: OpenLane): void;
  /** It is closed. */
  forget(held: OpenLane): void;
}

export function createHalts({ consumer, waitMs, due, over, clock, emit }: HaltsOptions): Halts {
  /** By partition: where a lane takes the place of another one, what was told of that one lasts. */
  const stalled = new Map<string, OpenLane>();

  const leave = (held: OpenLane): void => {
    held.stalled = false;
    if (stalled.get(held.key) !== held) return;
    stalled.delete(held.key);
    if (stalled.size === 0) emit({ type: 'degraded', reason: 'delivery', on: false });
  };

  return {
    mayStart(held, record) {
      if (held.due === record.offset) return true;
      const wait = waitMs(record);
      if (wait <= 0) return true;
      if (held.waiting) return false;
      consumer.pause([held.handle]);
      held.waiting = clock.after(wait, () => {
        held.waiting = undefined;
        // Kept, since the wall clock may have been set back meanwhile, and would have it wait once more.
        held.due = record.offset;
        // First, since the next record may have to wait as well: then the partition stays paused.
        due(held);
        over(held);
      });
      return false;
    },
    stall(held, error) {
      if (held.lane.state === 'closed') return;
      held.stalled = held.reading;
      if (held.reading) consumer.pause([held.handle]);
      const known = stalled.has(held.key);
      if (stalled.size === 0) emit({ type: 'degraded', reason: 'delivery', on: true });
      stalled.set(held.key, held);
      if (known) return;
      const { topic, partition } = held.lane;
      const message = `Nothing can be written for this partition, and ${held.reading ? 'it is read no more until that works' : 'it is begun anew until that works'}: ${error.message}`;
      emit({ type: 'note', level: 'error', message, detail: { topic, partition } });
    },
    flow(held) {
      if (stalled.get(held.key) !== held) return;
      leave(held);
      over(held);
    },
    forget(held) {
      held.waiting?.cancel();
      leave(held);
    },
  };
}
