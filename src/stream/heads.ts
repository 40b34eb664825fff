import type { Clock } from '../clock.js';
import { asMnerError, type MnerError } from '../errors.js';
import type { Emit } from '../telemetry/events.js';
import type { Delivery, Voided } from './delivery.js';
import type { Batch, Finished } from './lane.js';
import type { OpenLane } from './open-lane.js';

export interface HeadsOptions {
  readonly delivery: Delivery;
  readonly limits: HeadLimits;
  readonly clock: Clock;
  readonly emit: Emit;
  /** Whether what is finished goes at once, because nothing more will come. */
  readonly hurried: () => boolean;
  /** A batch is written for good, be its lane still open or not. */
  readonly acknowledged: (held: OpenLane, batch: Batch, delivered: readonly Finished[]) => void;
  /** Nobody knows whether it was written: all that the lane holds must be read again. */
  readonly voided: (held: OpenLane, error: MnerError) => void;
  readonly failed: (error: MnerError) => void;
}

export interface HeadLimits {
  /** @default 512 */
  readonly publishRecords?: number;
  /** @default 524288 */
  readonly publishBytes?: number;
  readonly commitEveryRecords: number;
  readonly commitEveryMs: number;
}

/** Bytes of outcomes in one transaction; it is sent in parts. */
const TRANSACTION_BYTES = 8 * 1024 * 1024;

/** Of `commitEveryMs`, the least time between two transactions of a lane that has nothing left to finish. */
const IDLE_SHARE = 0.5;

/** The finished heads of all lanes on their way out: when they go, how much at once, and one behind the other. */
export interface Heads {
  /** The lane may have finished records at its head. */
  deliver(held: OpenLane): void;
  /** Resolves when nothing is under way, also of lanes that are closed. Never rejects. */
  settled(): Promise<void>;
}

export function createHeads(options: HeadsOptions): Heads {
  const { delivery, limits, clock, emit, hurried, acknowledged, voided, failed } = options;
  const { publishRecords = 512, publishBytes = 512 * 1024, commitEveryRecords, commitEveryMs } = limits;
  /** The delivery under way for each input partition, also of an older epoch. */
  const tails = new Map<string, Promise<void>>();

  /** Whether the finished head goes now; one transaction is made of what finishes within a while. */
  const due = ({ lane, ripe }: OpenLane): boolean =>
    delivery.commits === 'lanes' || hurried() || ripe || lane.ready >= commitEveryRecords;

  /**
   * When the finished head goes, due or not. A lane in which nothing is left to finish waits for nobody but the next record, who
   * may be long in coming: it goes at once, unless its last transaction has only just begun.
   */
  const ripeAt = ({ lane, ready, began }: OpenLane, now: number): number => {
    const waited = (ready ?? now) + commitEveryMs;
    return lane.ready === lane.size ? Math.min(waited, Math.max(now, began + IDLE_SHARE * commitEveryMs)) : waited;
  };

  const ripen = (held: OpenLane): void => {
    if (held.lane.ready === 0) return;
    const now = clock.now();
    held.ready ??= now;
    const at = ripeAt(held, now);
    if (held.ripening && held.ripening.at <= at) return;
    held.ripening?.timer.cancel();
    const timer = clock.after(at - now, () => {
      held.ripe = true;
      deliver(held);
    });
    held.ripening = { at, timer };
  };

  const takeBatch = (held: OpenLane): Batch | undefined => {
    if (!due(held)) return undefined;
    held.ripening?.timer.cancel();
    held.ripening = undefined;
    held.ripe = false;
    held.ready = undefined;
    held.began = clock.now();
    if (delivery.commits === 'itself') return held.lane.take({ records: commitEveryRecords, bytes: TRANSACTION_BYTES });
    return held.lane.take({ records: publishRecords, bytes: publishBytes });
  };

  /**
   * Delivers the lane's finished head, batch after batch, behind whatever is under way for the same input partition. Why
   * behind: a write of an older epoch cannot be called back. Say it holds 30 to 40 and 10 is committed; the partition
   * comes back to us, and the new lane writes 10 to 15; if the old write landed only now, readers would see 30 before 16.
   */
  const deliver = (held: OpenLane): void => {
    if (held.delivering) return;
    if (!due(held)) {
      ripen(held);
      return;
    }
    held.delivering = true;
    const before = tails.get(held.key);
    const now = before ? before.then(() => deliverHead(held)) : deliverHead(held);
    tails.set(held.key, now);
    void now.finally(() => tails.get(held.key) === now && tails.delete(held.key));
  };

  const deliverHead = async (held: OpenLane): Promise<void> => {
    const { lane, handle } = held;
    for (;;) {
      const batch = takeBatch(held);
      if (!batch) {
        // In the same breath as the look: what finishes from now on calls again.
        held.delivering = false;
        ripen(held);
        return;
      }
      const began = clock.now();
      let delivered: readonly Finished[] | Voided;
      try {
        delivered = await delivery.deliver(handle, batch.finished, batch.nextOffset);
      } catch (error) {
        if (lane.state !== 'closed') failed(asMnerError(error));
        return;
      }
      if ('voided' in delivered) return voided(held, delivered.voided);
      emit({ type: 'stage', stage: 'publish', seconds: (clock.now() - began) / 1000 });
      acknowledged(held, batch, delivered);
      if (lane.state === 'closed') return;
    }
  };

  return {
    deliver,
    settled: async () => void (await Promise.allSettled(tails.values())),
  };
}
