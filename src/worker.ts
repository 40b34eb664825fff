import { brokerOf, cacheOf, originOf } from './adapters.js';
import { type Clock, systemClock } from './clock.js';
import { redactConfig } from './config/redact.js';
import type { Config } from './config/schema.js';
import { MnerError } from './errors.js';
import { createImages, type Images, type ImagesOptions } from './image/look.js';
import type { Cache, Origin } from './image/port.js';
import { createProcessHost } from './inference/host-process.js';
import { createNerModel } from './inference/model.js';
import type { InferenceHost } from './inference/port.js';
import { loadModels, type Models, visionShape } from './models.js';
import type { EntityRecord } from './ner/record.js';
import { createPipeline } from './pipeline.js';
import { atLeastOnce } from './stream/at-least-once.js';
import { createLanes, type Lanes } from './stream/lanes.js';
import type { Process } from './stream/outcome.js';
import type { Broker } from './stream/port.js';
import type { Telemetry } from './telemetry/telemetry.js';
import { createEncoder } from './text/encode.js';
import { createReader, type Reader } from './text/reader.js';

/** Adapters in place of the real ones, for commands without a broker and for tests. */
export interface Adapters {
  readonly broker?: Broker;
  readonly cache?: Cache;
  readonly origin?: Origin;
  readonly host?: InferenceHost;
  readonly clock?: Clock;
  /** Whether a tweet may name a picture of this machine by `file:`. @default false */
  readonly allowFiles?: boolean;
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
  const host =
    adapters.host ??
    createProcessHost({ models: models.hosted, providers: config.providers, threads: config.threads, clock, emit });
  const close = async () => {
    await host.stop();
    await Promise.all([origin.stop(), cache.stop()]);
  };
  try {
    await Promise.all([cache.connect(), host.start()]);
  } catch (error) {
    await close();
    throw error;
  }

  const { ner, vision, tokenizer } = models;
  const options = imageOptions(config, adapters);
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
  });
  const { name: bundle, family, version } = ner.manifest;
  const model = () => ({ family, bundle, version, provider: host.provider });
  const head = { labels: ner.manifest.labels, ...ner.manifest.heads[config.mentions] };
  const encoder = createEncoder({ tokenizer, settings: ner.manifest.text });
  const reader = createReader({ encoder, model: nerModel, head, clock, emit });
  const { mentions } = config;
  const eachMention = config.mentions_topic !== null;
  emit({ type: 'model', bundle, version, provider: host.provider });
  return {
    process: createPipeline({ images, reader, mentions, model, eachMention, clock, emit }),
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

/** For a model that reads no picture: none is fetched. */
const unseeing: Images = {
  look: async (photo) => ({ status: photo ? 'skipped' : 'none', cache: null }),
  stop: async () => {},
};

function imageOptions(config: Config, { allowFiles = false }: Adapters): ImagesOptions {
  return {
    budgetMs: config.image_budget_ms,
    maxBytes: config.image_max_bytes,
    overload: config.image_overload,
    maxWaiting: config.image_waiting,
    lifetimes: { used: config.cache_ttl_seconds },
    allowFiles,
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
    lanes = createLanes({
      consumer: broker.consumer({
        topics: inputsOf(config),
        group: config.group,
        from: config.start_from,
        sessionTimeoutMs: config.session_timeout_ms,
      }),
      process: stations.process,
      delivery: atLeastOnce({
        producer: await broker.producer(),
        topics: {
          output: config.output_topic,
          deadLetters: config.dead_letter_topic,
          mentions: config.mentions_topic ?? undefined,
        },
        partitionsOf: (topic) => partitions.get(topic) as number,
        clock,
        emit,
      }),
      failed: fail,
      limits: {
        inflightBytes: config.inflight_bytes,
        laneRecords: (topic) => (topic === config.replay_topic ? REPLAY_RECORDS : LIVE_RECORDS),
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

/** Records of one lane that are in process at once. Few of a replay are, so that it takes what the live stream leaves. */
const LIVE_RECORDS = 512;
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
