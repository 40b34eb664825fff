import { type ManualClock, manualClock } from '#mner/clock.js';
import type { MnerError } from '#mner/errors.js';
import { atLeastOnce } from '#mner/stream/at-least-once.js';
import { exactlyOnce } from '#mner/stream/exactly-once.js';
import { createLanes, type LaneLimits, type Lanes } from '#mner/stream/lanes.js';
import { type Appended, type MemoryBroker, type MemoryBrokerOptions, memoryBroker } from '#mner/stream/memory.js';
import type { Outcome, Process } from '#mner/stream/outcome.js';
import type { InputRecord } from '#mner/stream/port.js';
import { type RetryTopic, waitMsOf } from '#mner/stream/retry-topic.js';
import type { Event } from '#mner/telemetry/events.js';

/** Records that lanes gave to process, each to be answered when the test says so. */
export function desk() {
  const open: {
    record: InputRecord;
    signal: AbortSignal;
    answer: (outcome: Outcome) => void;
    refuse: (e: Error) => void;
  }[] = [];
  let watching = () => {};
  const process: Process = (record, signal) =>
    new Promise((answer, refuse) => {
      open.push({ record, signal, answer, refuse });
      watching();
    });
  /** Takes `count` records off the desk as soon as there are so many. */
  const take = async (count: number) => {
    while (open.length < count)
      await new Promise<void>((resolve) => {
        watching = resolve;
      });
    return open.splice(0, count);
  };
  return { process, open, take };
}

interface Setup {
  readonly partitions?: number;
  readonly outputPartitions?: number;
  readonly limits?: LaneLimits;
  readonly wire?: MemoryBrokerOptions['wire'];
  readonly maxMessageBytes?: number;
  readonly mentions?: boolean;
  /** Where a group without a committed offset begins. @default 'earliest' */
  readonly from?: 'earliest' | 'latest';
  /** @default 'at_least_once' */
  readonly delivery?: 'at_least_once' | 'exactly_once';
  /** Its topic is `retry`. @default there is none */
  readonly retry?: Omit<RetryTopic, 'topic'>;
}

const stops: (() => Promise<void>)[] = [];

/** Stops all lanes that were started since the last call. */
export async function stopAll(): Promise<void> {
  for (const stop of stops.splice(0)) await stop();
}

export async function setUp(setup: Setup = {}) {
  const { partitions = 1, outputPartitions = partitions, wire = {}, maxMessageBytes = 100_000 } = setup;
  const clock = manualClock();
  const broker = memoryBroker({ clock, wire, maxMessageBytes });
  await broker.createTopics([
    { topic: 'in', partitions },
    { topic: 'out', partitions: outputPartitions },
    { topic: 'mentions', partitions: 1 },
    { topic: 'dead', partitions: 1 },
    { topic: 'retry', partitions },
  ]);
  return { ...setup, clock, broker };
}

type World = Setup & { readonly clock: ManualClock; readonly broker: MemoryBroker };

export async function startLanes(world: World, process: Process) {
  const { broker, clock, limits = {}, mentions, delivery, from = 'earliest' } = world;
  const retry = world.retry && { topic: 'retry', ...world.retry };
  const events: Event[] = [];
  const failures: MnerError[] = [];
  let told = () => {};
  const emit = (event: Event) => {
    events.push(event);
    told();
  };
  const topics = { output: 'out', deadLetters: 'dead', mentions: mentions ? 'mentions' : undefined, retry };
  const counts = await broker.partitions(['out', 'dead', 'mentions', 'retry']);
  const partitionsOf = (topic: string) => counts.get(topic) ?? 1;
  const consumer = broker.consumer({ topics: retry ? ['in', 'retry'] : ['in'], group: 'g', from });
  const shared = { topics, partitionsOf, clock, emit };
  const retrying = { retryBudgetMs: limits.retryBudgetMs };
  const lanes: Lanes = createLanes({
    consumer,
    process,
    delivery:
      delivery === 'exactly_once'
        ? exactlyOnce({ ...shared, ...retrying, broker, consumer, group: 'g', timeoutMs: 10_000 })
        : atLeastOnce({ ...shared, ...retrying, producer: await broker.producer() }),
    failed: (error) => {
      failures.push(error);
      told();
    },
    limits,
    waitMs: (record) => waitMsOf(record, retry, clock.wall()),
    clock,
    emit,
  });
  stops.push(() => lanes.stop());
  await lanes.start();
  const until = async (condition: () => boolean) => {
    while (!condition())
      await new Promise<void>((resolve) => {
        told = resolve;
      });
  };
  return { lanes, events, failures, until };
}

export const put = (broker: MemoryBroker, partition: number, ...values: string[]) =>
  broker.append('in', ...values.map((value): Appended => ({ partition, value: Buffer.from(value) })));
export const committed = async (broker: MemoryBroker, partition = 0) =>
  (await broker.offsets('in', 'g'))[partition]?.committed;
export const written = (broker: MemoryBroker, topic: string, partition?: number) =>
  broker.read(topic, partition).map(({ value }) => String(value));
export const of = <T extends Event['type']>(events: readonly Event[], type: T) =>
  events.filter((event): event is Extract<Event, { type: T }> => event.type === type);
/** Lets everything run that needs no time and no answer. */
export const settle = async () => {
  for (let i = 0; i < 20; i += 1) await new Promise((resolve) => setImmediate(resolve));
};
