import { brokerOf } from './adapters.js';
import { type Clock, systemClock } from './clock.js';
import { redactConfig } from './config/redact.js';
import type { Config } from './config/schema.js';
import { MnerError } from './errors.js';
import { inputsOf, isLow, retryOf } from './inputs.js';
import { type Adapters, openStations, type Stations } from './stations.js';
import { atLeastOnce } from './stream/at-least-once.js';
import type { Delivery } from './stream/delivery.js';
import { exactlyOnce } from './stream/exactly-once.js';
import { createLanes, type Lanes } from './stream/lanes.js';
import type { Broker, Consumer } from './stream/port.js';
import { waitMsOf } from './stream/retry-topic.js';
import type { Emit } from './telemetry/events.js';
import type { Telemetry } from './telemetry/telemetry.js';

export { type Adapters, openStations, type Stations } from './stations.js';

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
      outOfRange: config.offset_out_of_range,
      sessionTimeoutMs: config.session_timeout_ms,
    });
    lanes = createLanes({
      consumer,
      process: stations.process,
      delivery: await deliveryOf(config, { broker, consumer, partitions, clock, emit }),
      failed: fail,
      limits: {
        inflightBytes: config.inflight_bytes,
        inflightAgeMs: config.inflight_age_ms,
        laneRecords: (topic, lanes) =>
          isLow(config, topic) ? REPLAY_RECORDS : Math.max(REPLAY_RECORDS, Math.floor(LIVE_RECORDS / lanes)),
        commitEveryRecords: config.commit_every_records,
        commitEveryMs: config.commit_every_ms,
        retryBudgetMs: config.retry_timeout_ms,
      },
      waitMs: (record) => waitMsOf(record, retryOf(config), clock.wall()),
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
      canary: stations.canary(),
      batches: stations.feeding(),
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
    retry: retryOf(config),
  };
  const shared = { topics, partitionsOf: (topic: string) => partitions.get(topic) as number, clock, emit };
  const { group, transaction_timeout_ms: timeoutMs, retry_timeout_ms: retryBudgetMs } = config;
  if (config.delivery === 'at_least_once')
    return atLeastOnce({ ...shared, producer: await broker.producer(), retryBudgetMs });
  return exactlyOnce({ ...shared, broker, consumer, group, timeoutMs, retryBudgetMs });
}

/**
 * Records in process at once: of the live lanes together, so that a drain ends in time however many there are, and of each
 * lane of a replay or a retry, so that it takes what the live stream leaves.
 */
const LIVE_RECORDS = 1024;
const REPLAY_RECORDS = 16;

/** @throws MnerError `topic_missing`, naming all that are */
async function partitionsOf(broker: Broker, config: Config): Promise<ReadonlyMap<string, number>> {
  const topics = [...inputsOf(config), config.output_topic, config.dead_letter_topic];
  if (config.mentions_topic !== null) topics.push(config.mentions_topic);
  const found = await broker.partitions(topics);
  const missing = topics.filter((topic) => !found.has(topic));
  if (missing.length === 0) return found;
  throw new MnerError(
    'topic_missing',
    `${missing.length === 1 ? 'The topic' : 'The topics'} ${missing.join(', ')} ${missing.length === 1 ? 'does' : 'do'} not exist.`,
  );
}
