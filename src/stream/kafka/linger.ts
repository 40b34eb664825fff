import type { Batch } from 'kafkajs';
import { type Clock, delay } from '../../clock.js';

/** As long Kafka's own producer waits for company (`linger.ms`), in milliseconds: a quarter of a batch's deadline. */
const LINGER_MS = 5;
/** From so many records on a fetch was worth its while. */
const MANY = 16;
/** For so long after a fetch that was there is no wait, in milliseconds: another partition's may stand behind this one. */
const BUSY_MS = 1000;

/**
 * A wait before the next fetch, where little arrives: kafkajs asks again at once, and would make a request of every single record of a
 * steady stream, which costs worker and broker more than reading it. There is none where nothing arrives, none behind the
 * end of a partition, and none while any partition brings much.
 */
export function createLinger(clock: Clock, signal: AbortSignal): (batch: Batch) => Promise<void> {
  /** A fetch brings several partitions, which come one after the other: one wait is for all of them. */
  let until = Number.NEGATIVE_INFINITY;
  return async (batch) => {
    const now = clock.now();
    const behind = BigInt(batch.lastOffset()) + 1n < BigInt(batch.highWatermark);
    if (behind || batch.messages.length >= MANY) until = now + BUSY_MS;
    if (now < until) return;
    await delay(clock, LINGER_MS, signal);
    until = Math.max(until, clock.now() + LINGER_MS);
  };
}
