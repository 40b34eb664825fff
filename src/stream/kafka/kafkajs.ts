import { createRequire, Module } from 'node:module';
import { withoutAborted } from './aborted.js';

const require = createRequire(import.meta.url);

/**
 * Replaces kafkajs's filter of aborted records by ours (`aborted.ts`), before anything loads kafkajs. A consumer is handed what the
 * filter has left, and no more: nothing that we could do afterwards would bring to light which records were aborted.
 */
function repair(): void {
  const path = require.resolve('kafkajs/src/consumer/filterAbortedMessages.js');
  const filter = ({ messages, abortedTransactions }: Parameters<KafkajsFilter>[0]) =>
    withoutAborted(messages, abortedTransactions);
  require.cache[path] = Object.assign(new Module(path), { loaded: true, filename: path, exports: filter });
}

type KafkajsFilter = (given: {
  readonly messages: Parameters<typeof withoutAborted>[0];
  readonly abortedTransactions: Parameters<typeof withoutAborted>[1];
}) => unknown;

repair();

/** kafkajs, repaired. Nothing else may load it: test/house/kafkajs.test.ts. Its types may come from the package itself. */
export const { Kafka, logLevel, CompressionCodecs, CompressionTypes } = require('kafkajs') as typeof import('kafkajs');
