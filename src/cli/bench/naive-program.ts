/**
 * What one would write first: kafkajs's `eachMessage`, the model called once for each message in the same process, one awaited
 * send for each result, kafkajs's own commits. The words, the CRF and the record are the worker's. Started by `program.ts`.
 */
import { Command } from 'commander';
import { memoryCache } from '../../image/cache/memory.js';
import { createLocalHost } from '../../inference/host-local.js';
import { loadModels } from '../../models.js';
import { kafkaCluster } from '../../stream/kafka/client.js';
import type { Headers } from '../../stream/port.js';
import { createTelemetry } from '../../telemetry/telemetry.js';
import { openStations } from '../../worker.js';
import { addConfigOptions, settingsOf } from '../settings.js';
import { untilSignal } from '../signals.js';
import { READY } from './program.js';

// Nothing waits for others to share its batch.
const { config } = settingsOf(addConfigOptions(new Command('naive')).parse(), { batch_deadline_ms: 0 });
const telemetry = createTelemetry({ log: { level: config.log_level, format: config.log_format }, nodeMetrics: false });
const { hosted } = await loadModels(config);
const host = createLocalHost({ models: hosted, providers: config.providers, threads: config.threads });
const stations = await openStations(config, telemetry, { cache: memoryCache(), host });
const kafka = kafkaCluster({ brokers: config.brokers, clientId: 'naive' }).client();
const producer = kafka.producer({
  allowAutoTopicCreation: false,
  createPartitioner: () => (args) => args.message.partition ?? 0,
});
const consumer = kafka.consumer({ groupId: config.group, maxWaitTimeInMs: 100 });
const { signal } = new AbortController();

await Promise.all([producer.connect(), consumer.connect()]);
await consumer.subscribe({ topics: [config.input_topic], fromBeginning: true });
const joined = new Promise<void>((resolve) => consumer.on(consumer.events.GROUP_JOIN, () => resolve()));
await consumer.run({
  eachMessage: async ({ topic, partition, message: { offset, key, value, timestamp } }) => {
    const outcome = await stations.process(
      { topic, partition, offset: BigInt(offset), key, value, headers: [], timestamp: Number(timestamp) },
      signal,
    );
    if (outcome.kind !== 'output') return;
    const message = { partition, key, value: outcome.value, headers: toObject(outcome.headers) };
    await producer.send({ topic: config.output_topic, messages: [message] });
  },
});
await joined;
telemetry.emit({ type: 'note', level: 'info', message: READY, detail: { port: 0 } });
await untilSignal();
await consumer.disconnect();
await producer.disconnect();
await stations.stop();

function toObject(headers: Headers): Record<string, Buffer> {
  return Object.fromEntries(headers);
}
