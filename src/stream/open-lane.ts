import { setMaxListeners } from 'node:events';
import type { Timer } from '../clock.js';
import type { MnerError } from '../errors.js';
import type { Emit } from '../telemetry/events.js';
import type { DeliveringLane } from './delivery.js';
import { createLane, type Lane } from './lane.js';
import { keyOf } from './partition-key.js';
import type { TopicPartition } from './port.js';

/** The life of a partition under one assignment, or, after a delivery that came back void, a part of it. */
export interface OpenLane {
  readonly lane: Lane;
  readonly key: string;
  /** Aborts when nobody waits for its results any more: with the epoch, or when a drain lets go of what is not begun. */
  readonly work: AbortSignal;
  /** As its delivery sees it. */
  readonly handle: DeliveringLane;
  /** Its records may come; false until its delivery has opened it. */
  reading: boolean;
  /** Its oldest record has been here for too long, so it reads no more for now. */
  stale: boolean;
  /** Its head is being delivered, or waits to be. */
  delivering: boolean;
  /** Until what is finished has waited long enough for more to go into one transaction with it, and when that is. */
  ripening: { readonly at: number; readonly timer: Timer } | undefined;
  ripe: boolean;
  /** When the oldest of what is finished and not on its way was first seen so; undefined where nothing is. */
  ready: number | undefined;
  /** When the last transaction began. */
  began: number;
  /** Until its next record may be processed (`halts.ts`), and the offset of the last one that waited to the end. */
  waiting: Timer | undefined;
  /** Nothing could be written for it for too long (`halts.ts`). */
  stalled: boolean;
  due: bigint | undefined;
}

/** @param spent told when the lane's writes have failed for longer than the retry budget allows */
export function createOpenLane(
  of: TopicPartition,
  epoch: Epoch,
  reading: boolean,
  emit: Emit,
  spent: (held: OpenLane, error: MnerError) => void,
): OpenLane {
  const { topic, partition } = of;
  const lane = createLane(topic, partition);
  const stumbled = (error: MnerError): void => {
    lane.stumble();
    emit({ type: 'note', level: 'warn', message: error.message, detail: { topic, partition } });
  };
  const handle = {
    topic,
    partition,
    signal: epoch.ended.signal,
    stumbled,
    recovered: () => lane.recover(),
    spent: (error: MnerError) => spent(held, error),
  };
  const idle = {
    stale: false,
    stalled: false,
    delivering: false,
    ripening: undefined,
    ripe: false,
    waiting: undefined,
    due: undefined,
    ready: undefined,
    began: Number.NEGATIVE_INFINITY,
  };
  const held: OpenLane = { lane, key: keyOf({ topic, partition }), work: epoch.work.signal, handle, reading, ...idle };
  return held;
}

/** Whether its partition may be read, as far as the lane alone is concerned. */
export function mayRead({ reading, stale, waiting, stalled }: OpenLane): boolean {
  return reading && !stale && !waiting && !stalled;
}

/** What all lanes of one assignment share. */
export interface Epoch {
  /** Aborts at the next assignment, or when there is none any more: nothing of this one counts any longer. */
  readonly ended: AbortController;
  /** Aborts with it, or earlier: {@link OpenLane.work}. */
  readonly work: AbortController;
}

export function newEpoch(): Epoch {
  const epoch = { ended: new AbortController(), work: new AbortController() };
  // Every record of the epoch listens to them, which Node would take for a leak.
  setMaxListeners(0, epoch.ended.signal, epoch.work.signal);
  return epoch;
}
