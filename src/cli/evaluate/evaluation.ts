import { bootstrapF1, type Intervals } from '../../ner/bootstrap.js';
import { type Calibration, calibrate } from '../../ner/calibration.js';
import { type Comparison, compareF1 } from '../../ner/compare.js';
import { seeded } from '../../ner/random.js';
import { countChunks, nameOf, type Scores, scoreCounts, TYPES } from '../../ner/score.js';
import { type Seen, type Slice, sliceScores } from '../../ner/slices.js';
import type { Found } from './read.js';

/** What `mner evaluate --json` prints; `tweets`, `lenient` and `strict` are promised. */
export interface Evaluation {
  readonly tweets: number;
  readonly lenient: Scores;
  readonly strict: Scores;
  /** Of F1. */
  readonly intervals: { readonly lenient: Intervals; readonly strict: Intervals };
  /** Of the entities told, held against the lenient chunks. */
  readonly calibration: Calibration;
  /** Lenient. */
  readonly slices: readonly Slice[];
  readonly against?: Against;
}

/** Another bundle over the same tweets. */
export interface Against {
  readonly bundle: string;
  readonly lenient: Scores;
  readonly strict: Scores;
  readonly comparison: { readonly lenient: Comparison; readonly strict: Comparison };
}

export interface Sampling {
  /** Of bootstrap and randomisation. */
  readonly samples: number;
  readonly seed: number;
}

export function evaluationOf(found: readonly Found[], seen: Seen | null, { samples, seed }: Sampling): Evaluation {
  const ways = waysOf(found);
  const verdicts = found.flatMap(({ gold, told, confidences }) => {
    const names = new Set(gold.map(nameOf));
    return told.map((chunk, i) => ({ confidence: confidences[i] ?? 0, right: names.has(nameOf(chunk)) }));
  });
  return {
    tweets: found.length,
    lenient: scoreCounts(ways.lenient),
    strict: scoreCounts(ways.strict),
    intervals: {
      lenient: bootstrapF1(ways.lenient, TYPES, samples, seeded(seed)),
      strict: bootstrapF1(ways.strict, TYPES, samples, seeded(seed)),
    },
    calibration: calibrate(verdicts),
    slices: sliceScores(found, seen),
  };
}

/** @param other of the same tweets, in the same order */
export function againstOf(
  found: readonly Found[],
  other: { readonly bundle: string; readonly found: readonly Found[] },
  { samples, seed }: Sampling,
): Against {
  const [ours, theirs] = [waysOf(found), waysOf(other.found)];
  return {
    bundle: other.bundle,
    lenient: scoreCounts(theirs.lenient),
    strict: scoreCounts(theirs.strict),
    comparison: {
      lenient: compareF1(ours.lenient, theirs.lenient, samples, seeded(seed)),
      strict: compareF1(ours.strict, theirs.strict, samples, seeded(seed)),
    },
  };
}

/** The counts of each tweet in both ways of counting. */
function waysOf(found: readonly Found[]) {
  return {
    lenient: found.map(({ gold, told }) => countChunks(gold, told)),
    strict: found.map(({ strict, told }) => countChunks(strict, told)),
  };
}
