import type { Lab } from './lab.js';

/** What a measurement gives: the figure, and what it is the middle of. */
export interface Measured {
  readonly value: number;
  readonly samples: readonly number[];
}

/** One figure of `mner bench`: what it means, what it should be, and how it is found out. */
export interface Figure {
  readonly name: string;
  /** Null where the figure is only reported. */
  readonly goal: number | null;
  readonly better: 'higher' | 'lower';
  readonly meaning: string;
  measure(lab: Lab): Promise<Measured>;
}

export interface FigureResult extends Measured {
  readonly figure: Figure;
}

export type Verdict = 'ok' | 'short' | 'reported';

export function verdictOf({ figure: { goal, better }, value }: FigureResult): Verdict {
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
