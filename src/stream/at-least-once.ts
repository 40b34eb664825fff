import { type Clock, systemClock } from '../clock.js';
import { MnerError } from '../errors.js';
import { type Emit, silent } from '../telemetry/events.js';
import { DEAD_LETTER_SIZES, deadLetter } from './dead-letter.js';
import type { DeliveringLane, Delivery } from './delivery.js';
import type { Finished } from './lane.js';
import type { OutputRecord, Producer } from './port.js';
import { persist } from './retry.js';

export interface AtLeastOnceOptions {
  readonly producer: Producer;
  readonly topics: Topics;
  /** A topic's number of partitions. */
  readonly partitionsOf: (topic: string) => number;
  readonly clock?: Clock;
  readonly emit?: Emit;
}

export interface Topics {
  readonly output: string;
  /** One record for each mention. @default none are written */
  readonly mentions?: string | undefined;
  readonly deadLetters: string;
}

/** A record on its way, and the input that it belongs to. */
interface Item {
  readonly of: Finished;
  readonly output: OutputRecord;
}

/**
 * Delivery at least once: outputs, then mentions, then dead letters, each topic in one acknowledged write; the lanes commit
 * afterwards. A crash in between writes again what was written.
 *
 * The output partition is the input partition modulo the topic's own number, so a lane writes to one partition of each
 * topic, and order per input partition survives.
 */
export function atLeastOnce(options: AtLeastOnceOptions): Delivery {
  const { producer, topics, partitionsOf, clock = systemClock, emit = silent } = options;

  /**
   * Writes the items as one batch. The broker refuses a batch as a whole and does not say which record was too large, so
   * a refused one is halved until a single record remains; `refused` deals with that one before the next are written.
   */
  const write = async (
    lane: DeliveringLane,
    topic: string,
    items: readonly Item[],
    refused: (item: Item, error: MnerError) => Promise<void> | void,
  ): Promise<void> => {
    const [only] = items;
    if (!only) return;
    const to = { topic, partition: lane.partition % partitionsOf(topic) };
    const outputs = items.map(({ output }) => output);
    const { signal, stumbled, recovered } = lane;
    try {
      await persist(() => producer.send(to, outputs), { clock, signal, stumbled, recovered });
    } catch (error) {
      if (!(error instanceof MnerError) || error.code !== 'output_too_large') throw error;
      if (items.length === 1) return await refused(only, error);
      const half = items.length >> 1;
      await write(lane, topic, items.slice(0, half), refused);
      await write(lane, topic, items.slice(half), refused);
    }
  };

  const writeDeadLetters = async (lane: DeliveringLane, dead: readonly DeadLetter[], size = 0): Promise<void> => {
    const [name, smaller] = [DEAD_LETTER_SIZES[size], DEAD_LETTER_SIZES[size + 1]];
    const items = dead.map((one) => ({ of: one, output: deadLetter(one.record, one.outcome.error, name) }));
    const byItem = new Map<Item['of'], DeadLetter>(dead.map((one) => [one, one]));
    await write(lane, topics.deadLetters, items, async (item, error) => {
      const one = byItem.get(item.of);
      if (!smaller || !one) throw new MnerError('internal', `Not even an empty dead letter fits: ${error.message}`);
      await writeDeadLetters(lane, [one], size + 1);
    });
  };

  return {
    commits: 'lanes',
    async deliver(lane, finished) {
      const became = new Map<Finished, Finished>(finished.map((one) => [one, one]));
      await write(lane, topics.output, finished.flatMap(outputOf), (item, error) => {
        became.set(item.of, { record: item.of.record, outcome: { kind: 'dead_letter', error } });
      });
      const now = [...became.values()];
      if (topics.mentions !== undefined)
        await write(lane, topics.mentions, now.flatMap(mentionsOf), (item, error) => {
          // Its tweet is out already, with this mention in it, so it is no dead letter.
          const message = `A mention was left out: ${error.message}`;
          emit({ type: 'note', level: 'warn', message, detail: { offset: String(item.of.record.offset) } });
        });
      await writeDeadLetters(lane, now.filter(isDead));
      return now;
    },
  };
}

type DeadLetter = Finished & { readonly outcome: Extract<Finished['outcome'], { kind: 'dead_letter' }> };

function isDead(one: Finished): one is DeadLetter {
  return one.outcome.kind === 'dead_letter';
}

function outputOf(of: Finished): Item[] {
  const { record, outcome } = of;
  if (outcome.kind !== 'output') return [];
  return [{ of, output: { key: record.key, value: outcome.value, headers: outcome.headers } }];
}

function mentionsOf(of: Finished): Item[] {
  const { outcome } = of;
  if (outcome.kind !== 'output') return [];
  const { headers, mentions = [] } = outcome;
  return mentions.map(({ key, value }) => ({ of, output: { key, value, headers } }));
}
