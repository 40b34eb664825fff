import type { Command } from 'commander';
import { brokerOf } from '../../adapters.js';
import type { LoadedConfig } from '../../config/load.js';
import type { Config } from '../../config/schema.js';
import { MnerError } from '../../errors.js';
import { memoryCache } from '../../image/cache/memory.js';
import type { Row } from '../../inference/row.js';
import { startKafka } from '../../local/kafka.js';
import { startRedis } from '../../local/redis.js';
import { encoderOf, loadModels, type Models } from '../../models.js';
import { divide } from '../../serving/open-pool.js';
import { openStations } from '../../stations.js';
import type { Broker } from '../../stream/port.js';
import { silent } from '../../telemetry/events.js';
import { createTelemetry } from '../../telemetry/telemetry.js';
import { splitWords } from '../../text/words.js';
import { say } from '../print.js';
import { type RecordedTweet, readRecorded, sampleEvenly } from './recorded.js';

/** Tweets in the set for each second of a window: a few passes for the slowest models, and far more different words than any cache of one size helps with. */
const TWEETS_PER_SECOND = 200;

export interface LabOptions {
  readonly tweets?: string;
  /** Windows for each side. */
  readonly windows: number;
  /** Length of a window. */
  readonly seconds: number;
  /** Length of the measurement of memory. */
  readonly minutes: number;
  /** Names of the figures that are measured in this run. */
  readonly chosen: readonly string[];
}

/** Where a figure needs no ceiling, a window of so many seconds says as much as a longer one, and so many tweets as more. */
const BRIEF = { seconds: 5, tweets: 400 };

/** What the figures share: configuration, models, the set of tweets, and servers that start when a figure first asks for them. */
export interface Lab {
  readonly command: Command;
  readonly config: LabConfig;
  /** The execution provider that runs here, which need not be the first of the configuration. */
  readonly provider: string;
  readonly models: Models;
  readonly windows: number;
  readonly seconds: number;
  readonly minutes: number;
  /** Names of the figures that are measured in this run. */
  readonly chosen: readonly string[];
  /** What several figures of this run are read from, measured once. */
  shared<T>(key: string, make: () => Promise<T>): Promise<T>;
  /** The set: every one has words. */
  readonly set: readonly LabTweet[];
  /** Where the tweets come from. */
  readonly source: string;
  /** The brokers that the command was given, otherwise a Kafka of our own. @throws MnerError `missing_tool` and others */
  brokers(): Promise<readonly string[]>;
  broker(): Promise<Broker>;
  /** The Redis that the command was given, otherwise one of our own. */
  redis(): Promise<string>;
  stop(): Promise<void>;
}

/** With the token budget, the processes and the threads of a worker on this machine in the place of `auto`. */
export type LabConfig = Config & { readonly batch_tokens: number; readonly inference_processes: number };

export interface LabTweet extends RecordedTweet {
  /** As the worker would encode it; several for a text longer than a window. */
  readonly rows: readonly Row[];
}

/** The same lab, with windows that are short also where one side is slow. */
export function brief(lab: Lab): Lab {
  return { ...lab, seconds: Math.min(lab.seconds, BRIEF.seconds), set: sampleEvenly(lab.set, BRIEF.tweets) };
}

/** @throws MnerError `bad_bundle`, `bad_input` */
export async function openLab(command: Command, { config, origins }: LoadedConfig, options: LabOptions): Promise<Lab> {
  const { windows, seconds, minutes, chosen } = options;
  const size = Math.max(50, Math.round(TWEETS_PER_SECOND * seconds));
  const recorded = await readRecorded(options.tweets, size);
  const models = await loadModels(config);
  const encoder = encoderOf(models.ner);
  const encode = (tweet: RecordedTweet): LabTweet => {
    const words = splitWords(tweet.text, config.mentions).map((word) => word.text);
    return { ...tweet, rows: encoder.encode(words).windows.map((text) => ({ text, picture: null })) };
  };
  const set = sampleEvenly(recorded.tweets, size)
    .map(encode)
    .filter(({ rows }) => rows.length > 0);
  if (set.length === 0) throw new MnerError('bad_input', 'None of the tweets holds a word.');

  const stops: (() => Promise<void>)[] = [];
  const brokers = once(async () => {
    if (origins.brokers !== 'default') return config.brokers;
    say('Starting Kafka …');
    const kafka = await startKafka({ say });
    stops.push(kafka.stop);
    return kafka.brokers;
  });
  const broker = once(async () => {
    const opened = brokerOf({ ...config, brokers: [...(await brokers())] }, silent);
    stops.push(opened.close);
    await opened.connect();
    return opened;
  });
  const redis = once(async () => {
    if (origins.redis_url !== 'default' && config.redis_url !== null) return config.redis_url;
    say('Starting Redis …');
    const own = await startRedis({ say });
    stops.push(own.stop);
    return own.url;
  });
  const shared = new Map<string, Promise<unknown>>();
  const { provider, ...feeding } = await feedingOf(config);
  return {
    command,
    // The sets are read over and over: a ratio to a ceiling means nothing where one side remembers.
    config: { ...config, repeat_cache_bytes: 0, ...feeding },
    provider,
    models,
    windows,
    seconds,
    minutes,
    chosen,
    shared<T>(key: string, make: () => Promise<T>) {
      const made = shared.get(key) ?? make();
      shared.set(key, made);
      return made as Promise<T>;
    },
    set,
    source: recorded.source,
    brokers,
    broker,
    redis,
    async stop() {
      for (const stop of stops.splice(0).reverse()) await stop();
    },
  };
}

interface Feeding {
  readonly batch_tokens: number;
  readonly inference_processes: number;
  /** Of all processes together. */
  readonly threads: number;
  readonly provider: string;
}

/** Threads of one of the worker's inference processes. */
export function threadsOfOne({ threads, inference_processes }: LabConfig): number {
  return divide(threads, inference_processes).threads;
}

/**
 * What a worker takes on this machine, measured as at its first start where nothing is remembered. All programs are then given
 * the same, and none measures for itself while another works.
 */
async function feedingOf(config: Config): Promise<Feeding> {
  const telemetry = createTelemetry({ log: { level: 'warn' }, nodeMetrics: false });
  const stations = await openStations(config, telemetry, { calibrate: true, cache: memoryCache() });
  try {
    const { tokens, processes, threads, from } = stations.feeding();
    say(`A worker takes batches of ${tokens} tokens, and ${processes} × ${threads} threads here (${from}).`);
    const { provider } = stations.model();
    return { batch_tokens: tokens, inference_processes: processes, threads: processes * threads, provider };
  } finally {
    await stations.stop();
    telemetry.stop();
  }
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}
