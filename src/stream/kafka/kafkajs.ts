import { readFileSync } from 'node:fs';
import { createRequire, Module } from 'node:module';
import { dirname } from 'node:path';
import { compileFunction } from 'node:vm';
import { withoutAborted } from './aborted.js';
import { partlyWritten } from './written.js';

const require = createRequire(import.meta.url);

/**
 * Replaces kafkajs's filter of aborted records by ours (`aborted.ts`), before anything loads kafkajs. A consumer is handed what the
 * filter has left, and no more: nothing that we could do afterwards would bring to light which records were aborted.
 */
function repairFilter(): void {
  const path = require.resolve('kafkajs/src/consumer/filterAbortedMessages.js');
  const filter = ({ messages, abortedTransactions }: Parameters<KafkajsFilter>[0]) =>
    withoutAborted(messages, abortedTransactions);
  require.cache[path] = Object.assign(new Module(path), { loaded: true, filename: path, exports: filter });
}

type KafkajsFilter = (given: {
  readonly messages: Parameters<typeof withoutAborted>[0];
  readonly abortedTransactions: Parameters<typeof withoutAborted>[1];
}) => unknown;

/** The files of kafkajs that measure intervals by `Date.now()`, and have no other use for `Date`; who is required comes first. */
const TIMED = [
  'network/requestQueue/socketRequest.js',
  'network/requestQueue/index.js',
  'cluster/brokerPool.js',
  'consumer/offsetManager/index.js',
  'consumer/consumerGroup.js',
];

/**
 * Gives kafkajs a clock that does not jump, where it measures how long something takes. With the system's, an hour back means no
 * heartbeat for an hour, so that the group puts the member out, and no end to a broker's throttling; an hour on means that every
 * request under way is given up at once. The times that it writes into records stay those of the system.
 */
function repairClocks(): void {
  const steady = { now: () => performance.now() };
  for (const file of TIMED) {
    const path = require.resolve(`kafkajs/src/${file}`);
    const module = Object.assign(new Module(path), { filename: path });
    require.cache[path] = module;
    const names = ['exports', 'require', 'module', '__filename', '__dirname', 'Date'];
    const load = compileFunction(readFileSync(path, 'utf8'), names, { filename: path });
    load(module.exports, createRequire(path), module, path, dirname(path), steady);
    module.loaded = true;
  }
}

/** What of kafkajs's connection is repaired. */
interface Connection {
  readonly host: string;
  readonly port: number;
  disconnect(): Promise<boolean>;
  rejectRequests(error: Error): void;
}

/**
 * Gives up a request that was sent in the very breath in which its connection closed: when kafkajs waits for the answers that are under
 * way, there was none yet; when it closes, there is one, of which it then hears neither an answer nor an end nor a time limit. Who sent
 * it would wait for ever. A broker that stops closes connections that are in use, so that a consumer may join its group again just then.
 */
function repairClosing(): void {
  const { prototype } = require('kafkajs/src/network/connection.js') as { prototype: Connection };
  const { KafkaJSConnectionClosedError } = require('kafkajs/src/errors.js') as KafkajsErrors;
  const { disconnect } = prototype;
  prototype.disconnect = async function (this: Connection) {
    const done = await disconnect.call(this);
    const { host, port } = this;
    this.rejectRequests(new KafkaJSConnectionClosedError('Closed connection', { host, port }));
    return done;
  };
}

/** What a broker says of one partition of a write; 0 is no error. */
interface PartitionAnswer {
  readonly partition: number;
  readonly errorCode: number;
}

interface ProduceResponse {
  parse(data: { topics: readonly { readonly partitions: readonly PartitionAnswer[] }[] }): Promise<unknown>;
}

/**
 * Lets an error of a write say which partitions were taken all the same. kafkajs keeps but the first error of an answer, and tries again with
 * all of its partitions, also those that have their records by then; where there are such it now gives up at once.
 */
function repairAnswers(): void {
  const { versions } = require('kafkajs/src/protocol/requests/produce/index.js') as { versions: readonly string[] };
  for (const version of versions) {
    const response = require(`kafkajs/src/protocol/requests/produce/v${version}/response.js`) as ProduceResponse;
    const { parse } = response;
    response.parse = async (data) => {
      try {
        return await parse(data);
      } catch (error) {
        const written = data.topics.flatMap(({ partitions }) =>
          partitions.filter(({ errorCode }) => errorCode === 0).map(({ partition }) => partition),
        );
        const noted = partlyWritten(error as Error, written);
        throw written.length > 0 ? Object.assign(noted, { retriable: false }) : noted;
      }
    };
  }
}

interface KafkajsErrors {
  readonly KafkaJSConnectionClosedError: new (message: string, at: { host: string; port: number }) => Error;
}

repairFilter();
repairClocks();
repairClosing();
repairAnswers();

/** kafkajs, repaired. Nothing else may load it: test/house/kafkajs.test.ts. Its types may come from the package itself. */
export const { Kafka, logLevel, CompressionCodecs, CompressionTypes } = require('kafkajs') as typeof import('kafkajs');
