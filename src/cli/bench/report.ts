import { arch, availableParallelism, cpus, loadavg, platform, release, totalmem } from 'node:os';
import { colour, formatTable } from '../print.js';
import { type FigureResult, goalOf, spreadOf, type TimedResult, type Verdict, verdictOf } from './figure.js';
import type { Lab } from './lab.js';

/** The document of `--json`. */
export interface BenchDocument {
  readonly machine: object;
  readonly figures: Readonly<
    Record<
      string,
      {
        /** Null where the figure was skipped. */
        readonly value: number | null;
        readonly goal: number | null;
        readonly better: 'higher' | 'lower';
        readonly samples: readonly number[];
        readonly verdict: Verdict;
        /** How long it took, with what it was the first to start. */
        readonly wall_seconds: number;
        /** Why it was not measured. */
        readonly skipped?: string;
      }
    >
  >;
}

export function documentOf(results: readonly TimedResult[], machine: object): BenchDocument {
  const entries = results.map((result) => {
    const { name, better } = result.figure;
    const goal = goalOf(result);
    const common = {
      goal: goal === null ? null : short(goal),
      better,
      verdict: verdictOf(result),
      wall_seconds: short(result.wallSeconds),
    };
    if ('skipped' in result) return [name, { value: null, ...common, samples: [], skipped: result.skipped }];
    return [name, { value: short(result.value), ...common, samples: result.samples.map(short) }];
  });
  return { machine, figures: Object.fromEntries(entries) };
}

/** Where and with what the figures were measured. `load` is that of the minute before: anything but about 0 spoils them. */
export function machineOf({ models, config, provider, source, set, windows, seconds }: Lab): object {
  const { name, version } = models.ner.manifest;
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memory_gb: Math.round(totalmem() / 2 ** 30),
    os: `${platform()} ${release()} ${arch()}`,
    node: process.version,
    load: short(loadavg()[0] ?? 0),
    bundle: `${name}@${version}`,
    provider,
    inference_processes: config.inference_processes,
    threads: config.threads,
    batch_tokens: config.batch_tokens,
    batch_deadline_ms: config.batch_deadline_ms,
    tweets: `${set.length} of ${source}`,
    windows,
    seconds,
  };
}

export function formatResults(results: readonly FigureResult[]): string {
  return formatTable(results, [
    { title: 'FIGURE', of: ({ figure }) => figure.name },
    { title: 'VALUE', of: (result) => ('skipped' in result ? '' : String(short(result.value))), align: 'right' },
    { title: 'SPREAD', of: spread, align: 'right' },
    { title: 'GOAL', of: goal, align: 'right' },
    { title: '', of: (result) => paint(verdictOf(result)) },
    { title: 'MEANING', of: (result) => ('skipped' in result ? result.skipped : result.figure.meaning) },
  ]);
}

function spread(result: FigureResult): string {
  return 'skipped' in result || result.samples.length < 2 ? '' : `± ${spreadOf(result.samples).toFixed(0)} %`;
}

function goal(result: FigureResult): string {
  const value = goalOf(result);
  return value === null ? '' : `${result.figure.better === 'higher' ? '≥' : '≤'} ${short(value)}`;
}

function paint(verdict: ReturnType<typeof verdictOf>): string {
  const padded = verdict.padEnd('reported'.length);
  return verdict === 'ok' ? colour(32, padded) : verdict === 'short' ? colour(31, padded) : padded;
}

/** Four digits are more than any of these measurements holds. */
function short(value: number): number {
  return Number(value.toPrecision(4));
}
