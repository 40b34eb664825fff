import type { MnerError } from '../errors.js';
import type { Finished } from './lane.js';

/** The lane whose outcomes are delivered, as a delivery sees it. */
export interface DeliveringLane {
  readonly topic: string;
  readonly partition: number;
  /** Aborts when the partition is no longer ours under this epoch: stop trying, the next owner does it again. */
  readonly signal: AbortSignal;
  /** To be told when a write failed for now, and before it is tried again. */
  stumbled(error: MnerError): void;
  recovered(): void;
  /** To be told when writes have failed for longer than the retry budget allows, and are tried on: the lane pauses. */
  spent(error: MnerError): void;
}

/** Nobody knows, or will know, whether it was delivered: all that the lane holds is to be read and done again. */
export interface Voided {
  readonly voided: MnerError;
}

/** How outcomes become durable: the strategy behind a delivery guarantee (`at-least-once.ts`, `exactly-once.ts`). */
export interface Delivery {
  /**
   * Who commits the input's offsets: `lanes`, watermark by watermark after acknowledgement, or the delivery `itself`, together
   * with the outcomes.
   */
  readonly commits: 'lanes' | 'itself';
  /**
   * Prepares a partition, which is paused meanwhile, and sets the consumer where it is to be read from. It waits out what is
   * retryable. Called at each assignment, and again after a delivery came back void. Without it a partition is read at once.
   *
   * @throws MnerError fatal ones; any, when the lane's signal has aborted
   */
  open?(lane: DeliveringLane): Promise<void>;
  /**
   * Writes the outcomes of one lane, in order. It waits out what is retryable, for as long as the lane is open, or gives them
   * back void. One call at a time for each input partition, also across rebalances.
   *
   * @param nextOffset one past the last of them; with `commits: 'itself'` it is committed when this resolves
   * @returns the same records with what they really became: an output that the topic refuses becomes a dead letter
   * @throws MnerError fatal ones; any, when the lane's signal has aborted
   */
  deliver(
    lane: DeliveringLane,
    finished: readonly Finished[],
    nextOffset: bigint,
  ): Promise<readonly Finished[] | Voided>;
}
