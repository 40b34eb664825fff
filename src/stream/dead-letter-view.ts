import { attempts, DEAD_LETTER_HEADERS } from './dead-letter.js';
import { headerText, withoutHeaders } from './headers.js';
import type { Headers, InputRecord, TopicPartition } from './port.js';

/** A dead letter as it is read back from its topic. */
export interface DeadLetterView {
  readonly partition: number;
  readonly offset: bigint;
  /** Null where the record is none of ours: it has no `mner-error-code`. */
  readonly code: string | null;
  readonly class: string | null;
  readonly message: string | null;
  /** How often its record failed, this time included. */
  readonly attempts: number;
  /** Where its record lay; null where the headers do not say. */
  readonly source: (TopicPartition & { readonly offset: string; readonly timestamp: string | null }) | null;
  /** Its value, and perhaps its key and headers, were dropped, since the dead-letter topic takes no larger ones. */
  readonly truncated: boolean;
  /** Of the value that was dropped. */
  readonly sha256: string | null;
  /** When it became a dead letter, in milliseconds since 1970. */
  readonly timestamp: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  /** The record's own, without those that say what was wrong. */
  readonly headers: Headers;
}

export function viewDeadLetter({ partition, offset, key, value, headers, timestamp }: InputRecord): DeadLetterView {
  const text = (name: string) => headerText(headers, `mner-${name}`) ?? null;
  // Anybody may write to the topic: what is no name of ours must not reach a terminal.
  const name = (of: string) => (/^[a-z0-9_]{1,64}$/.test(text(of) ?? '') ? text(of) : null);
  return {
    partition,
    offset,
    code: name('error-code'),
    class: name('error-class'),
    message: text('error-message'),
    attempts: attempts(headers),
    source: sourceOf(headers),
    truncated: text('truncated') !== null,
    sha256: text('value-sha256'),
    timestamp,
    key,
    value,
    headers: withoutHeaders(headers, DEAD_LETTER_HEADERS),
  };
}

/** Where a record lay when it failed, by its headers; null where they do not say. */
export function sourceOf(headers: Headers): DeadLetterView['source'] {
  const [topic, partition, offset] = ['topic', 'partition', 'offset'].map((name) =>
    headerText(headers, `mner-source-${name}`),
  );
  if (
    !/^[A-Za-z0-9._-]{1,249}$/.test(topic ?? '') ||
    !/^\d{1,9}$/.test(partition ?? '') ||
    !/^\d{1,19}$/.test(offset ?? '')
  )
    return null;
  const timestamp = headerText(headers, 'mner-source-timestamp') ?? null;
  return { topic: topic as string, partition: Number(partition), offset: offset as string, timestamp };
}

/** Which dead letters are meant; what is left out does not matter. */
export interface DeadLetterFilter {
  readonly codes?: ReadonlySet<string> | undefined;
  readonly classes?: ReadonlySet<string> | undefined;
  readonly partitions?: ReadonlySet<number> | undefined;
  readonly sourceTopics?: ReadonlySet<string> | undefined;
  /** Became dead letters at this time or later, in milliseconds since 1970. */
  readonly since?: number | undefined;
}

export function isMeant(letter: DeadLetterView, filter: DeadLetterFilter): boolean {
  const { codes, classes, partitions, sourceTopics, since } = filter;
  return (
    (codes?.has(letter.code ?? '') ?? true) &&
    (classes?.has(letter.class ?? '') ?? true) &&
    (partitions?.has(letter.partition) ?? true) &&
    (sourceTopics?.has(letter.source?.topic ?? '') ?? true) &&
    letter.timestamp >= (since ?? Number.NEGATIVE_INFINITY)
  );
}
