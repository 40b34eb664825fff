import { MnerError } from '../errors.js';
import type { Headers, InputRecord, OutputRecord } from './port.js';

/** What became of one input record. Every record has exactly one outcome. */
export type Outcome =
  /** Goes to the output topic; a null value is a tombstone. `mentions` go to the mentions topic where one is set. */
  | {
      readonly kind: 'output';
      readonly value: Buffer | null;
      readonly headers: Headers;
      readonly mentions?: readonly OutputRecord[];
    }
  /** Goes to the dead-letter topic with its own bytes. */
  | { readonly kind: 'dead_letter'; readonly error: MnerError }
  /** Goes to the retry topic with its own bytes, where there is one; else it is a dead letter. */
  | { readonly kind: 'retry'; readonly error: MnerError };

/**
 * The whole way of one record, from bytes to outcome. Poison comes back as a dead letter, not as an exception; it
 * throws only for errors of the classes `retryable` and `fatal`.
 */
export type Process = (record: InputRecord, signal: AbortSignal) => Promise<Outcome>;

/**
 * The outcome of a record that still fails for now when its time is over: as far as anybody can tell, it is at fault itself.
 *
 * @throws the error, if it is of another class
 */
export function givenUp(error: unknown): Outcome {
  if (error instanceof MnerError && error.class === 'retryable') return { kind: 'retry', error };
  throw error;
}
