/** An entity that a model told, and whether it stands in the gold labels. */
export interface Verdict {
  readonly confidence: number;
  readonly right: boolean;
}

/** Entities of about the same confidence. */
export interface CalibrationBin {
  readonly from: number;
  readonly to: number;
  readonly entities: number;
  /** Mean of what the model says; null without an entity. */
  readonly confidence: number | null;
  /** Share of those that are right; null without an entity. */
  readonly precision: number | null;
}

export interface Calibration {
  readonly entities: number;
  /** Expected calibration error: the gap between confidence and precision of each bin, weighted by its entities, 0 to 1. */
  readonly ece: number;
  readonly bins: readonly CalibrationBin[];
}

/** Holds confidences against outcomes, in bins of equal width. A bin holds its upper end; the first holds 0 too. */
export function calibrate(verdicts: readonly Verdict[], bins = 10): Calibration {
  const sums = Array.from({ length: bins }, () => ({ entities: 0, confidence: 0, right: 0 }));
  for (const { confidence, right } of verdicts) {
    const sum = sums[Math.min(bins - 1, Math.max(0, Math.ceil(confidence * bins) - 1))] as (typeof sums)[number];
    sum.entities++;
    sum.confidence += confidence;
    if (right) sum.right++;
  }
  const gap = sums.reduce((total, { confidence, right }) => total + Math.abs(confidence - right), 0);
  return {
    entities: verdicts.length,
    ece: verdicts.length === 0 ? 0 : round(gap / verdicts.length),
    bins: sums.map(({ entities, confidence, right }, i) => ({
      from: i / bins,
      to: (i + 1) / bins,
      entities,
      confidence: entities === 0 ? null : round(confidence / entities),
      precision: entities === 0 ? null : round(right / entities),
    })),
  };
}

function round(share: number): number {
  return Math.round(share * 1e4) / 1e4;
}
