import { randomUUID } from 'node:crypto';
import { delay, systemClock } from '../../clock.js';
import { MnerError } from '../../errors.js';
import { headerText } from '../../stream/headers.js';
import type { Broker, InputRecord, OutputRecord } from '../../stream/port.js';
import type { Side } from './alternate.js';
import type { Lab } from './lab.js';
import { type Program, type ProgramName, startProgram } from './program.js';

/** As many as `mner topics --create` makes. */
const PARTITIONS = 12;
/** Records of one partition in one send. */
const CHUNK = 100;
/** No output for so long means that none will come. */
const SILENCE_MS = 120_000;

/** What creating a topic may fail with for a moment. */
const AGAIN: ReadonlySet<string> = new Set(['topic_missing', 'broker_unavailable']);
const ATTEMPTS = 10;

/** A program between an input and an output topic of a real Kafka, fed in bursts; several of them as one consumer group. */
export interface BurstSide extends Side {
  readonly programs: readonly [Program, ...Program[]];
  stop(): Promise<void>;
}

export interface BurstOptions {
  readonly name: string;
  readonly program?: ProgramName;
  /** Processes of the program. @default 1 */
  readonly workers?: number;
  /** The set, as JSON; read anew at each run. */
  readonly values: readonly Buffer[];
  /** Configuration over the command's own. */
  readonly overrides: Readonly<Record<string, string>>;
}

/** Starts the programs on topics of its own. A run lasts from the first record produced to the last output read. */
export async function startBurstSide(lab: Lab, options: BurstOptions): Promise<BurstSide> {
  const id = randomUUID().slice(0, 8);
  const topics = { input: `bench-in-${id}`, output: `bench-out-${id}`, dead: `bench-dead-${id}` };
  const broker = await lab.broker();
  await createTopics(broker, Object.values(topics));
  const outputs = await readOutputs(broker, topics);
  const producer = await broker.producer();
  const overrides = {
    ...options.overrides,
    brokers: (await lab.brokers()).join(','),
    group: `bench-${id}`,
    input_topic: topics.input,
    output_topic: topics.output,
    dead_letter_topic: topics.dead,
  };
  const start = () => startProgram(options.program ?? 'run', lab.command, overrides);
  const programs: [Program, ...Program[]] = [await start()];
  const stop = async () => {
    await Promise.all(programs.map((program) => program.stop()));
    await Promise.all([producer.stop(), outputs.stop()]);
  };
  try {
    while (programs.length < (options.workers ?? 1)) programs.push(await start());
  } catch (error) {
    await stop();
    throw error;
  }

  const send = async (values: readonly Buffer[], pass: number) => {
    for (let start = 0; start < values.length; start += PARTITIONS * CHUNK) {
      const parts: OutputRecord[][] = Array.from({ length: PARTITIONS }, () => []);
      for (let i = start; i < Math.min(values.length, start + PARTITIONS * CHUNK); i++) {
        parts[i % PARTITIONS]?.push({ key: Buffer.from(`${pass}-${i}`), value: values[i] as Buffer, headers: [] });
      }
      await Promise.all(parts.map((part, partition) => producer.send({ topic: topics.input, partition }, part)));
    }
  };

  let expected = 0;
  return {
    name: options.name,
    programs,
    async run(passes) {
      expected += options.values.length * passes;
      const startedAt = systemClock.now();
      for (let pass = 0; pass < passes; pass++) await send(options.values, pass);
      await Promise.race([outputs.reach(expected), ...programs.map(({ failed }) => failed)]);
      return (systemClock.now() - startedAt) / 1000;
    },
    stop,
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

/** Counts the input records that have an output; a repeated one counts once. */
async function readOutputs(broker: Broker, topics: { output: string; dead: string }) {
  const seen = new Set<string>();
  let news = () => {};
  let failure: MnerError | null = null;
  const note = (record: InputRecord) => {
    if (record.topic === topics.dead) {
      const code = headerText(record.headers, 'mner-error-code');
      failure ??= new MnerError('internal', `A recorded tweet became a dead letter (${code}).`);
    } else seen.add(headerText(record.headers, 'mner-source') ?? '');
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
    /** Resolves when so many different records have come out. */
    async reach(count: number): Promise<void> {
      while (seen.size < count) {
        const heard = new AbortController();
        const before = seen.size;
        news = () => heard.abort();
        await delay(systemClock, SILENCE_MS, heard.signal);
        if (failure) throw failure;
        if (!heard.signal.aborted && seen.size === before) {
          throw new MnerError('internal', `${count - seen.size} outputs did not come within ${SILENCE_MS / 1000} s.`);
        }
      }
    },
    stop: () => consumer.stop(),
  };
}
