import { randomUUID } from 'node:crypto';
import { delay, systemClock } from '../../clock.js';
import { MnerError } from '../../errors.js';
import { headerText } from '../../stream/headers.js';
import type { Broker, InputRecord, OutputRecord } from '../../stream/port.js';
import type { Lab } from './lab.js';

/** As many as `mner topics --create` makes. */
export const PARTITIONS = 12;
/** No output for so long means that none will come. */
const SILENCE_MS = 120_000;

/** What creating a topic may fail with for a moment. */
const AGAIN: ReadonlySet<string> = new Set(['topic_missing', 'broker_unavailable']);
const ATTEMPTS = 10;

/** An input and an output topic of a real Kafka, made for one measurement, and the bench at both ends. */
export interface Channel {
  /** Configuration of a worker between them. */
  readonly overrides: Readonly<Record<string, string>>;
  send(partition: number, records: readonly OutputRecord[]): Promise<void>;
  /** Input records that have a committed output; a repeated one counts once. */
  readonly outputs: number;
  /**
   * Resolves when so many different input records have an output.
   * @throws MnerError `internal` for a dead letter, or when nothing comes for two minutes
   */
  reach(count: number): Promise<void>;
  stop(): Promise<void>;
}

/**
 * @param seen called with each output that is the first of its input record
 * @throws MnerError those of the wire
 */
export async function openChannel(lab: Lab, seen: (output: InputRecord) => void = () => {}): Promise<Channel> {
  const id = randomUUID().slice(0, 8);
  const topics = { input: `bench-in-${id}`, output: `bench-out-${id}`, dead: `bench-dead-${id}` };
  const broker = await lab.broker();
  await createTopics(broker, Object.values(topics));
  const reader = await readOutputs(broker, topics, seen);
  const producer = await broker.producer();
  return {
    overrides: {
      brokers: (await lab.brokers()).join(','),
      group: `bench-${id}`,
      input_topic: topics.input,
      output_topic: topics.output,
      dead_letter_topic: topics.dead,
    },
    send: (partition, records) => producer.send({ topic: topics.input, partition }, records),
    get outputs() {
      return reader.count();
    },
    reach: reader.reach,
    async stop() {
      await Promise.all([producer.stop(), reader.stop()]);
    },
  };
}

/** A broker that has just started may know of a new topic before it has a leader for it: asking again is all that it takes. */
async function createTopics(broker: Broker, topics: readonly string[]): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await broker.createTopics(topics.map((topic) => ({ topic, partitions: PARTITIONS })));
      return;
    } catch (error) {
      if (attempt === ATTEMPTS || !(error instanceof MnerError && AGAIN.has(error.code))) throw error;
      await delay(systemClock, 500);
    }
  }
}

/** Reads committed outputs, and counts the input records that they belong to. */
async function readOutputs(
  broker: Broker,
  topics: { output: string; dead: string },
  heard: (output: InputRecord) => void,
) {
  const seen = new Set<string>();
  let news = () => {};
  let failure: MnerError | null = null;
  const note = (record: InputRecord) => {
    if (record.topic === topics.dead) {
      const code = headerText(record.headers, 'mner-error-code');
      failure ??= new MnerError('internal', `A recorded tweet became a dead letter (${code}).`);
      return;
    }
    const source = headerText(record.headers, 'mner-source') ?? '';
    if (seen.has(source)) return;
    seen.add(source);
    heard(record);
  };
  const consumer = broker.consumer({
    topics: [topics.output, topics.dead],
    group: `bench-reader-${randomUUID().slice(0, 8)}`,
  });
  await consumer.start({
    assigned: () => {},
    revoked: () => {},
    failed: (error) => {
      failure ??= error;
      news();
    },
    records: async (records) => {
      records.forEach(note);
      news();
    },
  });
  return {
    count: () => seen.size,
    async reach(count: number): Promise<void> {
      while (seen.size < count) {
        const told = new AbortController();
        const before = seen.size;
        news = () => told.abort();
        await delay(systemClock, SILENCE_MS, told.signal);
        if (failure) throw failure;
        if (!told.signal.aborted && seen.size === before) {
          throw new MnerError('internal', `${count - seen.size} outputs did not come within ${SILENCE_MS / 1000} s.`);
        }
      }
    },
    stop: () => consumer.stop(),
  };
}
