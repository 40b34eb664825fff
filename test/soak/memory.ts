/** Resident memory of one process tree over time. */
export interface Sample {
  readonly minutes: number;
  readonly mb: number;
}

/**
 * How fast memory grows, in MB a minute: the median of the slopes between all pairs of samples (Theil and Sen), on which a few
 * peaks, as each inference child or decoder makes when it starts, have no influence.
 */
export function slopeOf(samples: readonly Sample[]): number {
  const slopes = samples.flatMap((one, i) =>
    samples.slice(i + 1).map((other) => (other.mb - one.mb) / (other.minutes - one.minutes)),
  );
  return median(slopes.filter(Number.isFinite));
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const [low, high] = [sorted[sorted.length % 2 ? middle : middle - 1], sorted[middle]];
  return low === undefined || high === undefined ? 0 : (low + high) / 2;
}
