import { systemClock } from '../../clock.js';
import type { OutputRecord } from '../../stream/port.js';
import type { Side } from './alternate.js';
import { type Channel, openChannel, PARTITIONS } from './channel.js';
import type { Lab } from './lab.js';
import { type Program, type ProgramName, startProgram } from './program.js';

/** Records of one partition in one send. */
const CHUNK = 100;

/** A program between an input and an output topic of a real Kafka, fed in bursts; several of them as one consumer group. */
export interface BurstSide extends Side {
  readonly programs: readonly [Program, ...Program[]];
  stop(): Promise<void>;
}

/** Starts a program with a configuration. */
export type Start = (overrides: Readonly<Record<string, string>>) => Promise<Program>;

export interface BurstOptions {
  readonly name: string;
  /** @default 'run' */
  readonly program?: ProgramName | Start;
  /** Processes of the program. @default 1 */
  readonly workers?: number;
  /** The set, as JSON; read anew at each run. */
  readonly values: readonly Buffer[];
  /** Configuration over the command's own. */
  readonly overrides: Readonly<Record<string, string>>;
  /** For the program, beside its configuration. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Starts the programs on topics of its own. A run lasts from the first record produced to the last output read. */
export async function startBurstSide(lab: Lab, options: BurstOptions): Promise<BurstSide> {
  const { program = 'run', env } = options;
  const channel = await openChannel(lab);
  const overrides = { ...options.overrides, ...channel.overrides };
  const start = () => (typeof program === 'string' ? startProgram(program, lab, overrides, env) : program(overrides));
  const programs: Program[] = [];
  const stop = async () => {
    await Promise.all(programs.map((one) => one.stop()));
    await channel.stop();
  };
  try {
    // One after the other: the first to join would otherwise see the others come while it reads.
    while (programs.length < (options.workers ?? 1)) programs.push(await start());
  } catch (error) {
    await stop();
    throw error;
  }

  let expected = 0;
  return {
    name: options.name,
    programs: programs as [Program, ...Program[]],
    async run(passes) {
      expected += options.values.length * passes;
      const startedAt = systemClock.now();
      for (let pass = 0; pass < passes; pass++) await sendSet(channel, options.values, pass);
      await Promise.race([channel.reach(expected), ...programs.map(({ failed }) => failed)]);
      return (systemClock.now() - startedAt) / 1000;
    },
    stop,
  };
}

/** Writes the whole set as fast as the broker takes it, over all partitions; keys are made of the pass and the place in the set. */
export async function sendSet(channel: Channel, values: readonly Buffer[], pass: number): Promise<void> {
  for (let start = 0; start < values.length; start += PARTITIONS * CHUNK) {
    const parts: OutputRecord[][] = Array.from({ length: PARTITIONS }, () => []);
    for (let i = start; i < Math.min(values.length, start + PARTITIONS * CHUNK); i++) {
      parts[i % PARTITIONS]?.push({ key: Buffer.from(`${pass}-${i}`), value: values[i] as Buffer, headers: [] });
    }
    await Promise.all(parts.map((part, partition) => channel.send(partition, part)));
  }
}
