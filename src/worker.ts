import { brokerOf, cacheOf, originOf } from './adapters.js';
import { type Clock, systemClock } from './clock.js';
import { redactConfig } from './config/redact.js';
import type { Config } from './config/schema.js';
import { MnerError } from './errors.js';
import { createImages, type Images, type ImagesOptions } from './image/look.js';
import type { Cache, Origin } from './image/port.js';
import { identityOf } from './inference/bundle.js';
import { createDoor } from './inference/door.js';
import { createProcessHost } from './inference/host-process.js';
import { createNerModel } from './inference/model.js';
import type { InferenceHost } from './inference/port.js';
import { hostOptions, loadModels, type Models, readsWords, visionShape } from './models.js';
import type { EntityRecord } from './ner/record.js';
import { createPipeline } from './pipeline.js';
import { atLeastOnce } from './stream/at-least-once.js';
import type { Delivery } from './stream/delivery.js';
import { exactlyOnce } from './stream/exactly-once.js';
import { createLanes, type Lanes } from './stream/lanes.js';
import type { Process } from './stream/outcome.js';
import type { Broker, Consumer } from './stream/port.js';
import type { Emit } from './telemetry/events.js';
import type { Telemetry } from './telemetry/telemetry.js';
import { createEncoder } from './text/encode.js';
import { createReader, type Reader } from './text/reader.js';
import { createRepeats } from './text/repeats.js';

/** Adapters in place of the real ones, for commands without a broker and for tests. */
export interface Adapters {
  readonly broker?: Broker;
  readonly cache?: Cache;
  readonly origin?: Origin;
  readonly host?: InferenceHost;
  readonly clock?: Clock;
  /** Whether a tweet may name a picture of this machine by `file:`. @default false */
  readonly allowFiles?: boolean;
  /** Whether the words in pictures are read for every model, where `ocr` is `on`. @default only for those that ask */
  readonly anyWords?: boolean;
}

/** The stations of the pipeline, warm, without a stream before or after them. */
export interface Stations {
  readonly process: Process;
  readonly images: Images;
  readonly reader: Reader;
  readonly models: Models;
  readonly model: () => EntityRecord['model'];
  stop(): Promise<void>;
}

/**
 * Opens the cache, the origin and the inference host, and puts the stations together.
 *
 * @throws MnerError `bad_bundle`, `provider_unavailable`, `cache_unreachable`
 */
export async function openStations(config: Config, telemetry: Telemetry, adapters: Adapters = {}): Promise<Stations> {
  const { emit } = telemetry;
  const clock = adapters.clock ?? systemClock;
  const models = await loadModels(config);
  const cache = adapters.cache ?? cacheOf(config, emit);
  const origin = adapters.origin ?? originOf(config, emit);
  const host = adapters.host ?? createProcessHost({ ...hostOptions(config), models: models.hosted, clock, emit });
  const close = async () => {
    await host.stop();
    await Promise.all([origin.stop(), cache.stop()]);
  };
  try {
    await Promise.all([cache.connect(), host.start()]);
    return await assemble(config, emit, adapters, { models, cache, origin, host, clock, close });
  } catch (error) {
    await close();
    throw error;
  }
}

/** What the stations stand on, started. */
interface Ground {
  readonly models: Models;
  readonly cache: Cache;
  readonly origin: Origin;
  readonly host: InferenceHost;
  readonly clock: Clock;
  readonly close: () => Promise<void>;
}

/** @throws MnerError `bad_bundle`, `inference_poison` when the model does not run */
async function assemble(config: Config, emit: Emit, adapters: Adapters, ground: Ground): Promise<Stations> {
  const { models, cache, origin, host, clock, close } = ground;
  const { ner, vision, tokenizer } = models;
  const words = (adapters.anyWords && config.ocr === 'on') || readsWords(ner, config);
  const options = imageOptions(config, adapters, words);
  const images = vision
    ? createImages({ origin, cache, host, bundle: visionShape(vision), clock, emit, options })
    : unseeing;
  const nerModel = createNerModel({
    host,
    bundle: ner,
    mentions: config.mentions,
    clock,
    emit,
    tokenBudget: config.batch_tokens,
    deadlineMs: config.batch_deadline_ms,
    patienceMs: config.replay_patience_ms,
  });
  const { name: bundle, family, version } = ner.manifest;
  const model = () => ({ family, bundle, version, provider: host.provider });
  const head = { labels: ner.manifest.labels, ...ner.manifest.heads[config.mentions] };
  const encoder = createEncoder({ tokenizer, settings: ner.manifest.text });
  const { mentions, repeat_cache_bytes: maxBytes } = config;
  const eachTime = createReader({ encoder, model: nerModel, head, clock, emit });
  const identity = `${identityOf(ner)}/${mentions}`;
  const reader =
    maxBytes === 0
      ? eachTime
      : createRepeats({ maxBytes, emit }).around(eachTime, () => `${identity}/${host.provider}`);
  const eachMention = config.mentions_topic !== null;
  const door = createDoor({ capacity: WAITING_UNITS, patienceMs: config.replay_patience_ms, clock });
  const priorityOf = (topic: string) => (topic === config.replay_topic ? 'replay' : 'live');
  for (const { manifest } of vision ? [ner, vision] : [ner])
    emit({ type: 'model', bundle: manifest.name, version: manifest.version, provider: host.provider });
  for (const window of encoder.encode(['warm', 'up']).windows) await nerModel.warmUp(window);
  return {
    process: createPipeline({ images, reader, mentions, model, door, priorityOf, eachMention, clock, emit }),
    images,
    reader,
    models,
    model,
    async stop() {
      await Promise.all([images.stop(), nerModel.stop()]);
      await close();
    },
  };
}

/**
 * Texts that wait for the model at once, in UTF-16 units: twice what all live records in process hold when each is a tweet of 280
 * characters, and 70 MB of rows in the worst case.
 */
const WAITING_UNITS = 512 * 1024;

/** For a model that reads no picture: none is fetched. */
const unseeing: Images = {
  look: async (photo) => ({ status: photo ? 'skipped' : 'none', cache: null }),
  stop: async () => {},
};

function imageOptions(config: Config, { allowFiles = false }: Adapters, words: boolean): ImagesOptions {
  return {
    budgetMs: config.image_budget_ms,
    maxBytes: config.image_max_bytes,
    overload: config.image_overload,
    maxWaiting: config.image_waiting,
    lifetimes: { used: config.cache_ttl_seconds },
    allowFiles,
    ...(words && { words: { timeoutMs: config.image_ocr_timeout_ms } }),
  };
}

/** A worker: the stations between an input and an output topic. */
export interface Worker {
  /** Rejects when the worker cannot go on; pending as long as it can. */
  readonly failed: Promise<never>;
  readonly stations: Stations;
  /** What `/info` shows. */
  info(): object;
  /** Finishes what was begun, then closes everything. @throws MnerError `drain_timed_out` */
  stop(): Promise<void>;
}

/**
 * Starts a worker; resolves when it has joined its group and is warm.
 *
 * @throws MnerError with the code of what is missing
 */
export async function startWorker(config: Config, telemetry: Telemetry, adapters: Adapters = {}): Promise<Worker> {
  const { emit, health } = telemetry;
  const clock = adapters.clock ?? systemClock;
  const broker = adapters.broker ?? brokerOf(config, emit);
  let stations: Stations | undefined;
  let lanes: Lanes | undefined;
  try {
    await broker.connect();
    const partitions = await partitionsOf(broker, config);
    stations = await openStations(config, telemetry, adapters);
    health.setWarm(true);

    let fail: (error: MnerError) => void = () => {};
    const failed = new Promise<never>((_, reject) => {
      fail = (error) => {
        health.fail(error.message);
        reject(error);
      };
    });
    // Whoever waits for it hears of it; a worker that is stopped at the same moment has nobody who does.
    failed.catch(() => {});
    const consumer = broker.consumer({
      topics: inputsOf(config),
      group: config.group,
      from: config.start_from,
      sessionTimeoutMs: config.session_timeout_ms,
    });
    lanes = createLanes({
      consumer,
      process: stations.process,
      delivery: await deliveryOf(config, { broker, consumer, partitions, clock, emit }),
      failed: fail,
      limits: {
        inflightBytes: config.inflight_bytes,
        laneRecords: (topic, lanes) =>
          topic === config.replay_topic ? REPLAY_RECORDS : Math.max(REPLAY_RECORDS, Math.floor(LIVE_RECORDS / lanes)),
        commitEveryRecords: config.commit_every_records,
        commitEveryMs: config.commit_every_ms,
      },
      clock,
      emit,
    });
    await lanes.start();
    return workerOf(config, telemetry, { broker, stations, lanes, failed });
  } catch (error) {
    await lanes?.stop();
    await stations?.stop();
    await broker.close();
    throw error;
  }
}

function workerOf(
  config: Config,
  { health }: Telemetry,
  { broker, stations, lanes, failed }: { broker: Broker; stations: Stations; lanes: Lanes; failed: Promise<never> },
): Worker {
  health.askJoined(() => lanes.joined);
  let stopped: Promise<void> | undefined;
  const stop = async () => {
    health.drain();
    try {
      await lanes.drain(config.drain_timeout_ms);
    } finally {
      await lanes.stop();
      await stations.stop();
      await broker.close();
    }
  };
  return {
    failed,
    stations,
    info: () => ({
      model: stations.model(),
      vision: stations.models.vision?.manifest.version ?? null,
      config: redactConfig(config),
    }),
    stop: () => {
      stopped ??= stop();
      return stopped;
    },
  };
}

interface DeliveryParts {
  readonly broker: Broker;
  readonly consumer: Consumer;
  readonly partitions: ReadonlyMap<string, number>;
  readonly clock: Clock;
  readonly emit: Emit;
}

/** @throws MnerError `broker_unreachable`, `authentication_failed` */
async function deliveryOf(config: Config, parts: DeliveryParts): Promise<Delivery> {
  const { broker, consumer, partitions, clock, emit } = parts;
  const topics = {
    output: config.output_topic,
    deadLetters: config.dead_letter_topic,
    mentions: config.mentions_topic ?? undefined,
  };
  const shared = { topics, partitionsOf: (topic: string) => partitions.get(topic) as number, clock, emit };
  if (config.delivery === 'at_least_once') return atLeastOnce({ ...shared, producer: await broker.producer() });
  const { group, transaction_timeout_ms: timeoutMs } = config;
  return exactlyOnce({ ...shared, broker, consumer, group, timeoutMs });
}

/**
 * Records in process at once: of the live lanes together, so that a drain ends in time however many there are, and of each
 * lane of a replay, so that it takes what the live stream leaves.
 */
const LIVE_RECORDS = 1024;
const REPLAY_RECORDS = 16;

function inputsOf({ input_topic, replay_topic }: Config): string[] {
  return replay_topic === null ? [input_topic] : [input_topic, replay_topic];
}

/** @throws MnerError `topic_missing`, naming all that are */
async function partitionsOf(broker: Broker, config: Config): Promise<ReadonlyMap<string, number>> {
  const topics = [...inputsOf(config), config.output_topic, config.dead_letter_topic];
  if (config.mentions_topic !== null) topics.push(config.mentions_topic);
  const found = await broker.partitions(topics);
  const missing = topics.filter((topic) => !found.has(topic));
  if (missing.length === 0) return found;
  throw new MnerError(
    'topic_missing',
    `${missing.length === 1 ? 'The topic' : 'The topics'} ${missing.join(', ')} ${missing.length === 1 ? 'does' : 'do'} not exist; \`mner topics --create\` makes what is missing.`,
  );
}
