import { createHash } from 'node:crypto';
import type { MnerError } from '../errors.js';
import { headerText, textHeader, withoutHeaders } from './headers.js';
import type { Headers, InputRecord, OutputRecord } from './port.js';

/**
 * How much of the record a dead letter carries. The broker may refuse one that is too large; then the next smaller is
 * tried: `whole` has all of it, `without_value` its key and headers, `bare` nothing but where it lies and what was wrong.
 */
export const DEAD_LETTER_SIZES = ['whole', 'without_value', 'bare'] as const;
export type DeadLetterSize = (typeof DEAD_LETTER_SIZES)[number];

/** Headers that say what was wrong; whoever sends a dead letter back takes them off, all but `mner-attempts`. */
export const DEAD_LETTER_HEADERS: ReadonlySet<string> = new Set([
  'mner-error-code',
  'mner-error-class',
  'mner-error-message',
  'mner-source-topic',
  'mner-source-partition',
  'mner-source-offset',
  'mner-source-timestamp',
  'mner-attempts',
  'mner-value-sha256',
  'mner-truncated',
  'mner-not-before',
]);

/** Characters of an error's message that a header holds. */
const MESSAGE_LIMIT = 1000;

/**
 * The dead letter of a record: its own bytes, key and headers, and `mner-` headers that say what was wrong and where it
 * lies. A record that was sent back from the dead letters already carries such headers; the new ones take their place, and
 * `mner-attempts` counts on.
 *
 * @param size @default 'whole'
 */
export function deadLetter(record: InputRecord, error: MnerError, size: DeadLetterSize = 'whole'): OutputRecord {
  const headers: (readonly [string, Buffer])[] = [
    ...(size === 'bare' ? [] : withoutHeaders(record.headers, DEAD_LETTER_HEADERS)),
    textHeader('mner-error-code', error.code),
    textHeader('mner-error-class', error.class),
    textHeader('mner-error-message', error.message.slice(0, MESSAGE_LIMIT)),
    textHeader('mner-source-topic', record.topic),
    textHeader('mner-source-partition', String(record.partition)),
    textHeader('mner-source-offset', String(record.offset)),
    textHeader('mner-source-timestamp', rfc3339(record.timestamp)),
    textHeader('mner-attempts', String(attempts(record.headers) + 1)),
  ];
  if (size === 'whole') return { key: record.key, value: record.value, headers };
  if (record.value)
    headers.push(textHeader('mner-value-sha256', createHash('sha256').update(record.value).digest('hex')));
  headers.push(textHeader('mner-truncated', 'true'));
  return { key: size === 'bare' ? null : record.key, value: null, headers };
}

/** Whether it is one of the size `bare`, or no larger than that. */
export function isBare({ key, value, headers }: OutputRecord): boolean {
  return key === null && value === null && headers.every(([name]) => DEAD_LETTER_HEADERS.has(name));
}

/** How often this record failed before; what is no number counts as never. */
export function attempts(headers: Headers): number {
  const value = headerText(headers, 'mner-attempts');
  return value && /^\d{1,9}$/.test(value) ? Number(value) : 0;
}

/** A producer may set any 64-bit timestamp, also one that no date has; -1 means that there is none. */
function rfc3339(timestamp: number): string {
  const date = new Date(timestamp);
  return timestamp < 0 || Number.isNaN(date.getTime()) ? String(timestamp) : date.toISOString();
}
