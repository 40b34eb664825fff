import { MnerError } from '../errors.js';
import type { Emit } from '../telemetry/events.js';
import { DEAD_LETTER_SIZES, deadLetter } from './dead-letter.js';
import { headerBytes } from './headers.js';
import type { Finished } from './lane.js';
import type { OutputRecord, TopicPartition } from './port.js';

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

/** Writes records to one partition, all or none. @throws MnerError `output_too_large` and others */
export type Send = (to: TopicPartition, records: readonly OutputRecord[]) => Promise<void>;

/** A record on its way, and the input that it belongs to. */
interface Item {
  readonly of: Finished;
  readonly output: OutputRecord;
}

/** Records and bytes that one send takes: kafkajs's cost grows with the square of the one, and a broker refuses many of the other. */
const SEND_RECORDS = 512;
const SEND_BYTES = 512 * 1024;

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

  /**
   * Writes the items in as few sends as their number and size allow. The broker refuses a batch as a whole and does not say
   * which record was too large, so a refused one is halved until a single record remains; `refused` deals with that one
   * before the next are written.
   */
  const write = async (
    way: Way,
    topic: string,
    items: readonly Item[],
    refused: (item: Item, error: MnerError) => Promise<void> | void,
  ): Promise<void> => {
    const to = { topic, partition: way.partition % partitionsOf(topic) };
    for (const part of parts(items)) await writePart(way, to, part, refused);
  };

  const writePart = async (
    way: Way,
    to: TopicPartition,
    items: readonly Item[],
    refused: (item: Item, error: MnerError) => Promise<void> | void,
  ): Promise<void> => {
    const [only] = items;
    if (!only) return;
    try {
      await way.send(
        to,
        items.map(({ output }) => output),
      );
    } catch (error) {
      if (!(error instanceof MnerError) || error.code !== 'output_too_large') throw error;
      if (items.length === 1) return await refused(only, error);
      const half = items.length >> 1;
      await writePart(way, to, items.slice(0, half), refused);
      await writePart(way, to, items.slice(half), refused);
    }
  };

  const writeDeadLetters = async (way: Way, dead: readonly DeadLetter[], size = 0): Promise<void> => {
    const [name, smaller] = [DEAD_LETTER_SIZES[size], DEAD_LETTER_SIZES[size + 1]];
    const items = dead.map((one) => ({ of: one, output: deadLetter(one.record, one.outcome.error, name) }));
    const byItem = new Map<Item['of'], DeadLetter>(dead.map((one) => [one, one]));
    await write(way, topics.deadLetters, items, async (item, error) => {
      const one = byItem.get(item.of);
      if (!smaller || !one) throw new MnerError('internal', `Not even an empty dead letter fits: ${error.message}`);
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

function outputOf(of: Finished): Item[] {
  const { record, outcome } = of;
  if (outcome.kind !== 'output') return [];
  return [{ of, output: { key: record.key, value: outcome.value, headers: outcome.headers } }];
}

function mentionsOf(of: Finished): Item[] {
  const { outcome } = of;
  if (outcome.kind !== 'output') return [];
  return (outcome.mentions ?? []).map((output) => ({ of, output }));
}

/** The items in their order, cut where a send would become too long or too large. */
function parts(items: readonly Item[]): Item[][] {
  const cut: Item[][] = [];
  let part: Item[] = [];
  let bytes = 0;
  for (const item of items) {
    const { key, value, headers } = item.output;
    const size = (key?.length ?? 0) + (value?.length ?? 0) + headerBytes(headers);
    if (part.length > 0 && (part.length >= SEND_RECORDS || bytes + size > SEND_BYTES)) {
      cut.push(part);
      part = [];
      bytes = 0;
    }
    part.push(item);
    bytes += size;
  }
  if (part.length > 0) cut.push(part);
  return cut;
}
