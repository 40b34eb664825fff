import type { Command } from 'commander';
import { brokerOf } from '../adapters.js';
import type { Config } from '../config/schema.js';
import { type ErrorCode, MnerError } from '../errors.js';
import { memoryCache } from '../image/cache/memory.js';
import { startKafka } from '../local/kafka.js';
import { type PictureServer, servePictures } from '../local/picture-server.js';
import { startRedis } from '../local/redis.js';
import type { EntityRecord } from '../ner/record.js';
import { memoryBroker } from '../stream/memory.js';
import type { Broker } from '../stream/port.js';
import { silent } from '../telemetry/events.js';
import { createTelemetry } from '../telemetry/telemetry.js';
import type { Adapters } from '../worker.js';
import { drawPicture } from './demo/pictures.js';
import { SAMPLES, type Sample } from './demo/samples.js';
import { formatResult } from './entities.js';
import { numberOption } from './options.js';
import { printLine, say } from './print.js';
import { serve } from './serve.js';
import { settingsOf } from './settings.js';
import { untilSignal } from './signals.js';
import { topicsOf } from './topics.js';

/** Time for all samples to come out, from the moment they were sent. */
const DEADLINE_MS = 60_000;

/** `mner demo`: a broker, a cache, an origin with pictures, a worker; samples in, entities out; then the playground. */
export async function demo(command: Command): Promise<void> {
  const options = command.opts<{ once?: boolean; port: string }>();
  const port = numberOption('--port', options.port, 0, 65_535);
  const interrupted = new AbortController();
  void untilSignal().then(() => interrupted.abort());
  const stage = openStage(interrupted.signal);
  try {
    await Promise.race([show(command, { port, once: options.once === true, stage }), untilAborted(interrupted.signal)]);
  } catch (error) {
    // What was under way at Ctrl-C fails as its servers go; nobody wants to hear of it.
    if (!interrupted.signal.aborted) throw error;
  } finally {
    await stage.close();
  }
}

/** Holds what has been started, so that all of it is stopped, the last one first, whenever Ctrl-C comes. */
interface Stage {
  readonly interrupted: AbortSignal;
  /** Starts something; what is still starting when the stage closes is stopped as soon as it has started. */
  start<T extends { stop(): Promise<void> } | null>(starter: () => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

function openStage(interrupted: AbortSignal): Stage {
  const started: Promise<{ stop(): Promise<void> } | null>[] = [];
  return {
    interrupted,
    async start(starter) {
      interrupted.throwIfAborted();
      const starting = starter();
      started.push(starting.catch(() => null));
      const one = await starting;
      interrupted.throwIfAborted();
      return one;
    },
    async close() {
      for (const starting of started.reverse()) await (await starting)?.stop();
    },
  };
}

interface Wishes {
  readonly port: number;
  readonly once: boolean;
  readonly stage: Stage;
}

async function show(command: Command, { port, once, stage }: Wishes): Promise<void> {
  const drawn = await drawAll();
  const pictures = await stage.start(() => servePictures(drawn));
  const { config, adapters, broker } = await openServers(command, pictures, port, stage);
  await broker.createTopics(topicsOf(config).map(({ topic }) => ({ topic, partitions: 3 })));

  say('Starting the worker …');
  const telemetry = createTelemetry({ log: { level: 'warn' } });
  const served = await stage.start(() => serve(config, telemetry, adapters));
  const { bundle, version, provider } = served.worker.stations.model();
  say(`The worker is ready: ${bundle} ${version} on ${provider}.\n`);

  const shown = showResults(broker, config);
  await sendSamples(broker, config, pictures);
  await Promise.race([shown, late(), served.worker.failed]);
  const url = `http://localhost:${served.port}`;
  say(`\n${SAMPLES.length} tweets in, ${SAMPLES.length} results out.`);
  if (once) return;
  say(`The playground is at ${url}, the metrics at ${url}/metrics. Ctrl-C ends.`);
  await Promise.race([untilAborted(stage.interrupted), served.worker.failed]);
}

/** A real Kafka and Redis where they can be had; the adapters in memory otherwise. */
async function openServers(
  command: Command,
  pictures: PictureServer,
  port: number,
  stage: Stage,
): Promise<{ config: Config; adapters: Adapters; broker: Broker }> {
  say('Starting Kafka and Redis …');
  const [kafka, redis] = await Promise.all([
    stage.start(() => orNone(startKafka({ say }), 'the broker in memory')),
    stage.start(() => orNone(startRedis({ say }), 'the cache in memory')),
  ]);
  const { config } = settingsOf(command, {
    ...(kafka && { brokers: kafka.brokers }),
    redis_url: redis?.url ?? null,
    image_allow: [pictures.origin],
    http_port: port,
    playground: true,
  });
  const broker = kafka ? brokerOf(config, silent) : memoryBroker();
  await stage.start(async () => ({ stop: () => broker.close() }));
  const adapters = { ...(kafka ? {} : { broker }), ...(redis ? {} : { cache: memoryCache() }) };
  if (kafka) say(`Kafka is at ${kafka.brokers.join(', ')}${redis ? `, Redis at ${redis.url}` : ''}.`);
  return { config, adapters, broker };
}

/** What the demo can do without: a program that is missing, jars that cannot be had, a server that does not start. */
const WITHOUT: ReadonlySet<ErrorCode> = new Set(['missing_tool', 'bad_download', 'local_server']);

/** What was started, or null with a word about why. */
async function orNone<T>(starting: Promise<T>, instead: string): Promise<T | null> {
  try {
    return await starting;
  } catch (error) {
    if (!(error instanceof MnerError) || !WITHOUT.has(error.code)) throw error;
    say(`${error.message} The demo goes on with ${instead}.`);
    return null;
  }
}

async function drawAll(): Promise<Map<string, Buffer>> {
  const names = SAMPLES.flatMap(({ picture }) => picture ?? []);
  return new Map(await Promise.all(names.map(async (name) => [`/${name}.jpg`, await drawPicture(name)] as const)));
}

async function sendSamples(broker: Broker, { input_topic: topic }: Config, { origin }: PictureServer): Promise<void> {
  const producer = await broker.producer();
  await Promise.all(
    SAMPLES.map((sample, i) =>
      producer.send({ topic, partition: i % 3 }, [
        { key: Buffer.from(sample.id), value: Buffer.from(JSON.stringify(tweetOf(sample, origin))), headers: [] },
      ]),
    ),
  );
}

function tweetOf({ id, text, picture, altText }: Sample, origin: string): object {
  const media =
    picture === undefined ? [] : [{ type: 'photo', url: `http://${origin}/${picture}.jpg`, alt_text: altText }];
  return { id, text, lang: 'en', media };
}

/** Prints every result as it comes; resolves when each sample has one. */
async function showResults(broker: Broker, { output_topic: topic }: Config): Promise<void> {
  const texts = new Map(SAMPLES.map(({ id, text }) => [id, text]));
  const consumer = broker.consumer({ topics: [topic], group: 'mner-demo' });
  await new Promise<void>((resolve, reject) => {
    consumer
      .start({
        assigned: () => {},
        revoked: () => {},
        failed: reject,
        records: async (records) => {
          for (const { value } of records) {
            const record = JSON.parse(String(value)) as EntityRecord;
            const text = texts.get(record.tweet_id);
            if (text === undefined) continue;
            texts.delete(record.tweet_id);
            await printLine(formatResult(text, record));
          }
          if (texts.size === 0) resolve();
        },
      })
      .catch(reject);
  });
}

function late(): Promise<never> {
  return new Promise((_, reject) => {
    const message = `Not every sample came out within ${DEADLINE_MS / 1000} s; the log lines above say why.`;
    setTimeout(() => reject(new MnerError('internal', message)), DEADLINE_MS).unref();
  });
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
