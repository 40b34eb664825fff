import type { Lab } from './lab.js';

/** What a measurement gives: the figure, and what it is the middle of. */
export interface Measured {
  readonly value: number;
  readonly samples: readonly number[];
  /** Of a figure whose goal depends on what was measured beside it. */
  readonly goal?: number;
}

/** The figure cannot be measured here, and that is nobody's fault. */
export interface Skipped {
  /** A sentence for people. */
  readonly skipped: string;
}

/** One figure of `mner bench`: what it means, what it should be, and how it is found out. */
export interface Figure {
  readonly name: string;
  /** Null where the figure is only reported; a formula where the measurement says what it comes to. */
  readonly goal: number | string | null;
  readonly better: 'higher' | 'lower';
  readonly meaning: string;
  measure(lab: Lab): Promise<Measured | Skipped>;
}

export type FigureResult = (Measured | Skipped) & { readonly figure: Figure };

/** With how long it took, in seconds; the first of several that are read from one measurement has the time of it. */
export type TimedResult = FigureResult & { readonly wallSeconds: number };

export type Verdict = 'ok' | 'short' | 'reported' | 'skipped';

/** The goal as a number; null for a figure that has none, or was not measured where its goal is measured too. */
export function goalOf(result: FigureResult): number | null {
  if (typeof result.figure.goal === 'number') return result.figure.goal;
  return 'skipped' in result ? null : (result.goal ?? null);
}

export function verdictOf(result: FigureResult): Verdict {
  if ('skipped' in result) return 'skipped';
  const goal = goalOf(result);
  const { value } = result;
  const { better } = result.figure;
  if (goal === null) return 'reported';
  return (better === 'higher' ? value >= goal : value <= goal) ? 'ok' : 'short';
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length === 0) return Number.NaN;
  if (sorted.length % 2 === 1) return sorted[middle] as number;
  return ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

/** The figure that a list of samples makes: their median. */
export function fromSamples(samples: readonly number[]): Measured {
  return { value: median(samples), samples };
}

/** The value below which this share of the values lies; NaN where there is none. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

/** Half of the way between the largest and the smallest sample, in per cent of the median: how much to believe of a value. */
export function spreadOf(samples: readonly number[]): number {
  return (50 * (Math.max(...samples) - Math.min(...samples))) / Math.abs(median(samples) || 1);
}
