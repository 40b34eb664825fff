import { type Clock, systemClock } from '../clock.js';
import { type Emit, silent } from '../telemetry/events.js';
import type { Delivery } from './delivery.js';
import type { Producer } from './port.js';
import { persist } from './retry.js';
import { outcomeWriter, type Topics } from './write-outcomes.js';

export interface AtLeastOnceOptions {
  readonly producer: Producer;
  readonly topics: Topics;
  /** A topic's number of partitions. */
  readonly partitionsOf: (topic: string) => number;
  readonly clock?: Clock;
  readonly emit?: Emit;
}

/**
 * Delivery at least once: outputs, then mentions, then dead letters, each acknowledged before the next; the lanes commit
 * afterwards. A crash in between writes again what was written.
 */
export function atLeastOnce(options: AtLeastOnceOptions): Delivery {
  const { producer, clock = systemClock, emit = silent } = options;
  const write = outcomeWriter({ topics: options.topics, partitionsOf: options.partitionsOf, emit });
  return {
    commits: 'lanes',
    deliver({ partition, signal, stumbled, recovered }, finished) {
      return write(
        partition,
        (to, records) => persist(() => producer.send(to, records), { clock, signal, stumbled, recovered }),
        finished,
      );
    },
  };
}
