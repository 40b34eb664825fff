import { type Clock, systemClock } from '../clock.js';
import { type Emit, silent } from '../telemetry/events.js';
import type { Delivery } from './delivery.js';
import type { Producer } from './port.js';
import { persist } from './retry.js';
import { outcomeWriter, type Topics, waitingForDeadLetters } from './write-outcomes.js';

export interface AtLeastOnceOptions {
  readonly producer: Producer;
  readonly topics: Topics;
  /** A topic's number of partitions. */
  readonly partitionsOf: (topic: string) => number;
  /** Failing for longer than this pauses the lane, in milliseconds. @default never */
  readonly retryBudgetMs?: number | undefined;
  readonly clock?: Clock;
  readonly emit?: Emit;
}

/**
 * Delivery at least once: outputs, then mentions, then dead letters, each acknowledged before the next; the lanes commit
 * afterwards. A crash in between writes again what was written.
 */
export function atLeastOnce(options: AtLeastOnceOptions): Delivery {
  const { producer, clock = systemClock, emit = silent } = options;
  const write = outcomeWriter({ topics: options.topics, partitionsOf: options.partitionsOf, clock, emit });
  const send = waitingForDeadLetters(options.topics.deadLetters, producer.send);
  return {
    commits: 'lanes',
    deliver({ partition, signal, stumbled, recovered, spent }, finished) {
      const retry = { clock, signal, stumbled, recovered, spent, budgetMs: options.retryBudgetMs };
      return write(partition, (to, records) => persist(() => send(to, records), retry), finished);
    },
  };
}
