import type { MnerError } from '../errors.js';
import { attempts, deadLetter } from './dead-letter.js';
import { sourceOf } from './dead-letter-view.js';
import { headerText, textHeader } from './headers.js';
import type { InputRecord, OutputRecord } from './port.js';

/** A topic for records that may do better later. They lose their place in the order of their partition. */
export interface RetryTopic {
  readonly topic: string;
  /** How long a record waits there before it is tried again, in milliseconds. */
  readonly delayMs: number;
  /** How often a record is tried in all. */
  readonly attempts: number;
}

/** Whether a record that fails now may be tried once more. */
export function mayRetry({ headers }: InputRecord, { attempts: most }: RetryTopic): boolean {
  return attempts(headers) + 1 < most;
}

/** The record with what was wrong, as in its dead letter, and when it may be tried again. */
export function retryRecord(record: InputRecord, error: MnerError, notBefore: number): OutputRecord {
  const { key, value, headers } = deadLetter(record, error);
  return { key, value, headers: [...headers, textHeader('mner-not-before', new Date(notBefore).toISOString())] };
}

/**
 * How long a record of the retry topic has still to wait, in milliseconds. Never longer than the delay, whatever a clock says
 * that was set between two workers, or whoever wrote the header.
 */
export function waitMsOf({ topic, headers }: InputRecord, retry: RetryTopic | undefined, now: number): number {
  if (topic !== retry?.topic) return 0;
  const notBefore = Date.parse(headerText(headers, 'mner-not-before') ?? '');
  return Number.isNaN(notBefore) ? 0 : Math.min(Math.max(0, notBefore - now), retry.delayMs);
}

/**
 * The record with the place where it first lay, by its headers, if it comes from the retry topic: results and dead letters
 * name that, so a record has one outcome of one source however often it was tried. Others are given back as they are, since anybody may
 * write such headers.
 */
export function atSource(record: InputRecord, retry: { readonly topic: string } | undefined): InputRecord {
  const source = record.topic === retry?.topic ? sourceOf(record.headers) : null;
  if (!source) return record;
  const { topic, partition, offset, timestamp } = source;
  const time = /^-?\d+$/.test(timestamp ?? '') ? Number(timestamp) : Date.parse(timestamp ?? '');
  return { ...record, topic, partition, offset: BigInt(offset), timestamp: Number.isNaN(time) ? -1 : time };
}
