import type { LogEntry } from 'kafkajs';
import { hasName } from './errors.js';

/** The answers to who may not ask for the coordinator of a group or a transactional id, by kafkajs's words for them. */
const TYPES: ReadonlyMap<string, string> = new Map([
  ['Not authorized to access group: Group authorization failed', 'GROUP_AUTHORIZATION_FAILED'],
  ['Transactional Id authorization failed', 'TRANSACTIONAL_ID_AUTHORIZATION_FAILED'],
]);

/**
 * Why no coordinator was found. kafkajs drops the broker's answer to that question, whatever it is, and says only that there
 * is none: a right that is missing for good looks like a cluster that is starting. The answer shows in its log alone.
 */
export interface Refusals {
  /** Reads a line of kafkajs's log. */
  hear(entry: LogEntry): void;
  /** The error, or what the broker has answered in its place; each answer explains one error. */
  explain(error: unknown): unknown;
}

export function createRefusals(): Refusals {
  let last: string | undefined;
  return {
    hear({ log }) {
      if (!log.message.startsWith('Response GroupCoordinator(')) return;
      last = TYPES.get(String(log.error));
    },
    explain(error) {
      const type = last;
      last = undefined;
      if (type === undefined || !hasName(error, 'KafkaJSGroupCoordinatorNotFound')) return error;
      return Object.assign(new Error('Not authorised', { cause: error }), { name: 'KafkaJSProtocolError', type });
    },
  };
}
