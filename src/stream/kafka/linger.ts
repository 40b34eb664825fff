import type { Batch } from 'kafkajs';
import { type Clock, delay } from '../../clock.js';

/** As long Kafka's own producer waits for company (`linger.ms`), in milliseconds: a quarter of a batch's deadline. */
const LINGER_MS = 5;
/** From so many records on a fetch was worth its while. */
const MANY = 16;

/**
 * A wait before the next fetch, where the last one has brought all that there was, and that was little: kafkajs asks again at once, and would
 * make a request of every single record of a steady stream, which costs worker and broker more than reading it. Behind the end of
 * a partition there is no wait, and none where nothing arrives.
 */
export function createLinger(clock: Clock, signal: AbortSignal): (batch: Batch) => Promise<void> {
  /** A fetch brings several partitions, which come one after the other: one wait is for all of them. */
  let until = Number.NEGATIVE_INFINITY;
  return async (batch) => {
    const behind = BigInt(batch.lastOffset()) + 1n < BigInt(batch.highWatermark);
    if (batch.messages.length >= MANY || behind || clock.now() < until) return;
    await delay(clock, LINGER_MS, signal);
    until = clock.now() + LINGER_MS;
  };
}
