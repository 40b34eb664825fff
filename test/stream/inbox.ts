import type { MnerError } from '#mner/errors.js';
import type { ConsumerHandlers, InputRecord, TopicPartition } from '#mner/stream/port.js';

/** What a consumer was told, in order, and a way to wait for it. */
export interface Inbox extends ConsumerHandlers {
  readonly records: ConsumerHandlers['records'] & { readonly all: readonly InputRecord[] };
  /** The assignment that holds now; null during a rebalance and before the first. */
  readonly partitions: readonly TopicPartition[] | null;
  readonly told: readonly string[];
  readonly ends: readonly bigint[];
  readonly failures: readonly MnerError[];
  /** Resolves as soon as this is true; checked after each thing that the consumer tells. */
  until(condition: (inbox: Inbox) => boolean): Promise<void>;
}

export function inbox(): Inbox {
  const all: InputRecord[] = [];
  const told: string[] = [];
  const ends: bigint[] = [];
  const failures: MnerError[] = [];
  let partitions: readonly TopicPartition[] | null = null;
  let waiting: { condition: (inbox: Inbox) => boolean; resolve: () => void }[] = [];
  const check = () => {
    const met = waiting.filter(({ condition }) => condition(self));
    waiting = waiting.filter((one) => !met.includes(one));
    for (const { resolve } of met) resolve();
  };
  const take = async (records: readonly InputRecord[], end: bigint) => {
    all.push(...records);
    ends.push(end);
    check();
  };
  const self: Inbox = {
    records: Object.assign(take, { all }),
    told,
    ends,
    failures,
    get partitions() {
      return partitions;
    },
    assigned(given) {
      partitions = given;
      told.push('assigned');
      check();
    },
    revoked() {
      partitions = null;
      told.push('revoked');
      check();
    },
    failed(error) {
      failures.push(error);
      check();
    },
    until(condition) {
      return new Promise((resolve) => {
        waiting.push({ condition, resolve });
        check();
      });
    },
  };
  return self;
}
