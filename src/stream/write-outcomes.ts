import { MnerError } from '../errors.js';
import type { Emit } from '../telemetry/events.js';
import { DEAD_LETTER_SIZES, deadLetter } from './dead-letter.js';
import type { Finished } from './lane.js';
import { type Item, type Send, writeParts } from './write-parts.js';

export interface Topics {
  readonly output: string;
  /** One record for each mention. @default none are written */
  readonly mentions?: string | undefined;
  readonly deadLetters: string;
}

export interface WriterOptions {
  readonly topics: Topics;
  /** A topic's number of partitions. */
  readonly partitionsOf: (topic: string) => number;
  readonly emit: Emit;
}

/** A record on its way, and the input that it belongs to. */
interface OutcomeItem extends Item {
  readonly of: Finished;
}

/** @returns the same records with what they really became: an output that the topic refuses is now a dead letter */
export type WriteOutcomes = (
  partition: number,
  send: Send,
  finished: readonly Finished[],
) => Promise<readonly Finished[]>;

/**
 * Writes what became of a lane's records, in order: outputs, then mentions, then dead letters.
 *
 * The output partition is the input partition modulo the topic's own number, so a lane writes to one partition of each
 * topic, and order per input partition survives.
 */
export function outcomeWriter({ topics, partitionsOf, emit }: WriterOptions): WriteOutcomes {
  /** What every call of one write shares. */
  interface Way {
    readonly partition: number;
    readonly send: Send;
  }

  const write = <T extends Item>(
    { partition, send }: Way,
    topic: string,
    items: readonly T[],
    refused: (item: T, error: MnerError) => Promise<void> | void,
  ): Promise<void> => writeParts(send, { topic, partition: partition % partitionsOf(topic) }, items, refused);

  const writeDeadLetters = async (way: Way, dead: readonly DeadLetter[], size = 0): Promise<void> => {
    const [name, smaller] = [DEAD_LETTER_SIZES[size], DEAD_LETTER_SIZES[size + 1]];
    const items = dead.map((one) => ({ one, output: deadLetter(one.record, one.outcome.error, name) }));
    await write(way, topics.deadLetters, items, async ({ one }, error) => {
      if (!smaller) throw new MnerError('internal', `Not even an empty dead letter fits: ${error.message}`);
      await writeDeadLetters(way, [one], size + 1);
    });
  };

  return async (partition, send, finished) => {
    const way = { partition, send };
    const became = new Map<Finished, Finished>(finished.map((one) => [one, one]));
    await write(way, topics.output, finished.flatMap(outputOf), (item, error) => {
      became.set(item.of, { record: item.of.record, outcome: { kind: 'dead_letter', error } });
    });
    const now = [...became.values()];
    if (topics.mentions !== undefined)
      await write(way, topics.mentions, now.flatMap(mentionsOf), (item, error) => {
        // Its tweet is out already, with this mention in it, so it is no dead letter.
        const message = `A mention was left out: ${error.message}`;
        emit({ type: 'note', level: 'warn', message, detail: { offset: String(item.of.record.offset) } });
      });
    await writeDeadLetters(way, now.filter(isDead));
    return now;
  };
}

type DeadLetter = Finished & { readonly outcome: Extract<Finished['outcome'], { kind: 'dead_letter' }> };

function isDead(one: Finished): one is DeadLetter {
  return one.outcome.kind === 'dead_letter';
}

function outputOf(of: Finished): OutcomeItem[] {
  const { record, outcome } = of;
  if (outcome.kind !== 'output') return [];
  return [{ of, output: { key: record.key, value: outcome.value, headers: outcome.headers } }];
}

function mentionsOf(of: Finished): OutcomeItem[] {
  const { outcome } = of;
  if (outcome.kind !== 'output') return [];
  return (outcome.mentions ?? []).map((output) => ({ of, output }));
}
