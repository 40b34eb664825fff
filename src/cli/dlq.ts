import type { Command } from 'commander';
import { brokerOf } from '../adapters.js';
import { nearest, unknownName } from '../config/nearest.js';
import type { Config } from '../config/schema.js';
import { ERRORS, MnerError } from '../errors.js';
import type { DeadLetterFilter, DeadLetterView } from '../stream/dead-letter-view.js';
import type { Broker } from '../stream/port.js';
import { silent } from '../telemetry/events.js';
import { numberOption } from './options.js';
import { settingsOf } from './settings.js';

/** What the commands on dead letters have in common. */

/**
 * Runs `work` with the broker of the configuration, once its dead-letter topic is known to be there.
 *
 * @throws MnerError `topic_missing`, and what `work` throws
 */
export async function withDeadLetters(
  command: Command,
  work: (broker: Broker, config: Config) => Promise<void>,
): Promise<void> {
  const { config } = settingsOf(command);
  const broker = brokerOf(config, silent);
  try {
    await broker.connect();
    const topic = config.dead_letter_topic;
    if (!(await broker.partitions([topic])).has(topic))
      throw new MnerError('topic_missing', `The dead-letter topic ${topic} does not exist.`);
    await work(broker, config);
  } finally {
    await broker.close();
  }
}

export interface FilterOptions {
  readonly code?: string;
  readonly class?: string;
  readonly partition?: string;
  readonly sourceTopic?: string;
  readonly since?: string;
  readonly max?: string;
}

/**
 * @param now milliseconds since 1970
 * @throws MnerError `bad_input`
 */
export function filterOf(options: FilterOptions, now: number): DeadLetterFilter {
  const partitions = listOf(options.partition)?.map((one) => numberOption('--partition', one, 0, 1e6));
  return {
    codes: named('--code', listOf(options.code), Object.keys(ERRORS)),
    classes: named('--class', listOf(options.class), [...new Set(Object.values(ERRORS).map((one) => one.class))]),
    partitions: partitions && new Set(partitions),
    sourceTopics: options.sourceTopic === undefined ? undefined : new Set(listOf(options.sourceTopic)),
    since: options.since === undefined ? undefined : timeOf(options.since, now),
  };
}

/** @throws MnerError `bad_input` */
export function maxOf({ max }: FilterOptions): number {
  return max === undefined ? Number.POSITIVE_INFINITY : numberOption('--max', max, 1, 1e12);
}

function listOf(text: string | undefined): string[] | undefined {
  return text?.split(',').map((one) => one.trim());
}

function named(flag: string, given: string[] | undefined, known: readonly string[]): Set<string> | undefined {
  const unknown = given?.find((one) => !known.includes(one));
  if (unknown === undefined) return given && new Set(given);
  const hint = `it is one of ${known.length > 8 ? 'those in docs/errors.md' : known.join(', ')}`;
  throw new MnerError('bad_input', unknownName(`The ${flag.slice(2)} ${unknown}`, nearest(unknown, known), hint));
}

const UNIT_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

function timeOf(text: string, now: number): number {
  const [, count, unit] = /^(\d{1,9})([smhd])$/.exec(text) ?? [];
  if (count && unit) return now - Number(count) * (UNIT_MS[unit] ?? 0);
  const time = /^\d{4}-\d{2}-\d{2}([T ]|$)/.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(time)) return time;
  const what = 'an age such as 90s, 15m, 2h or 3d, or a time such as 2026-01-31T12:00:00Z';
  throw new MnerError('bad_input', `--since takes ${what}, not ${JSON.stringify(text)}.`);
}

/** Bytes as a text that may go to a terminal: UTF-8 without control characters but tabs and line ends; else undefined. */
export function printable(bytes: Buffer): string | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    return /[\p{Cc}\p{Cf}]/u.test(text.replace(/[\t\n\r\u200c\u200d]/g, '')) ? undefined : text;
  } catch {
    return undefined;
  }
}

/** A key or the value of a header in one line. */
export function inLine(bytes: Buffer | null): string {
  if (bytes === null) return 'none';
  const text = printable(bytes);
  return text === undefined || /[\t\n\r]/.test(text) ? `0x${bytes.toString('hex')}` : text;
}

/** A dead letter as JSON, without the record's own value and headers. */
export function jsonOf(letter: DeadLetterView, sentBack: boolean): object {
  const { partition, offset, code, class: kind, message, attempts, source, truncated, timestamp, key } = letter;
  return {
    partition,
    offset: String(offset),
    code,
    class: kind,
    message,
    attempts,
    source,
    failed_at: new Date(timestamp).toISOString(),
    key: key === null ? null : inLine(key),
    bytes: letter.value?.length ?? null,
    truncated,
    sent_back: sentBack,
  };
}

export function ageOf(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86_400)} d`;
}

export function sourceText({ source }: DeadLetterView): string {
  return source ? `${source.topic}/${source.partition}/${source.offset}` : 'unknown';
}
