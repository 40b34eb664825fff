import type { Clock } from '../clock.js';
import { MnerError } from '../errors.js';
import type { Emit } from '../telemetry/events.js';
import { DEAD_LETTER_SIZES, deadLetter, isBare } from './dead-letter.js';
import type { Finished } from './lane.js';
import type { OutputRecord } from './port.js';
import { atSource, mayRetry, type RetryTopic, retryRecord } from './retry-topic.js';
import { type Item, type Send, writeParts } from './write-parts.js';

export interface Topics {
  readonly output: string;
  /** One record for each mention. @default none are written */
  readonly mentions?: string | undefined;
  readonly deadLetters: string;
  /** For records that may do better later. @default they become dead letters */
  readonly retry?: RetryTopic | undefined;
}

export interface WriterOptions {
  readonly topics: Topics;
  /** A topic's number of partitions. */
  readonly partitionsOf: (topic: string) => number;
  readonly clock: Clock;
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
 * Writes what became of a lane's records, in order: outputs, then mentions, then what is tried again later, then dead letters.
 *
 * The output partition is the input partition modulo the topic's own number, so a lane writes to one partition of each
 * topic, and order per input partition survives.
 */
export function outcomeWriter({ topics, partitionsOf, clock, emit }: WriterOptions): WriteOutcomes {
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
    const items = dead.map((one) => ({
      one,
      output: deadLetter(atSource(one.record, topics.retry), one.outcome.error, name),
    }));
    await write(way, topics.deadLetters, items, async ({ one }, error) => {
      // A topic that refuses the smallest is away (see below), which a delivery waits out or gives back void.
      if (!smaller) throw error;
      await writeDeadLetters(way, [one], size + 1);
    });
  };

  return async (partition, send, finished) => {
    const way = { partition, send };
    const became = new Map<Finished, Finished>(finished.map((one) => [one, one]));
    await write(way, topics.output, finished.flatMap(outputOf), (item, error) => {
      became.set(item.of, { record: item.of.record, outcome: { kind: 'dead_letter', error } });
    });
    const { retry } = topics;
    const later: OutcomeItem[] = [];
    for (const of of finished) {
      const { record, outcome } = of;
      if (outcome.kind !== 'retry') continue;
      const { error } = outcome;
      const output =
        retry && mayRetry(record, retry) && retryRecord(atSource(record, retry), error, clock.wall() + retry.delayMs);
      if (output) later.push({ of, output });
      else became.set(of, { record, outcome: { kind: 'dead_letter', error } });
    }
    if (retry)
      await write(way, retry.topic, later, (item, error) => {
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

/**
 * A send for which a dead-letter topic that is missing, forbidden, or refuses a dead letter in any size is away for now: its
 * records can go nowhere else, and to end the worker for it would only have the next one do the same.
 */
export function waitingForDeadLetters(deadLetters: string, send: Send): Send {
  return async (to, records) => {
    try {
      await send(to, records);
    } catch (error) {
      if (to.topic !== deadLetters || !(error instanceof MnerError)) throw error;
      if (error.class !== 'fatal' && !hopeless(error, records)) throw error;
      throw new MnerError('dead_letters_unavailable', `Dead letters cannot be written. ${error.message}`, {
        cause: error,
      });
    }
  };
}

/** Whether no smaller dead letter would be taken either: what a topic refuses for another reason than its size stays as it is. */
function hopeless({ code }: MnerError, records: readonly OutputRecord[]): boolean {
  const [only] = records;
  if (only === undefined || records.length > 1) return false;
  return code === 'output_refused' || (code === 'output_too_large' && isBare(only));
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
