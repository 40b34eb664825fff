/** x0, y0, x1, y1 as shares of the picture's width and height. */
export type Box = readonly [number, number, number, number];

export interface FoundObject {
  readonly class: number;
  readonly score: number;
  readonly box: Box;
}

const LEAST_SCORE = 0.3;
const OVERLAP = 0.5;
const BEST = 5;

/**
 * What is kept of a detector's answer, as `models/training/mner/vision/objects.py` keeps it: each box has its best class;
 * of two boxes of one class that overlap by more than half the better stays; the five best, best first.
 * @param boxes Q x 4
 * @param scores Q x classes
 */
export function bestObjects(boxes: Float32Array, scores: Float32Array): FoundObject[] {
  const count = boxes.length / 4;
  const classes = count === 0 ? 0 : scores.length / count;
  const candidates: FoundObject[] = [];
  for (let row = 0; row < count; row += 1) {
    let best = 0;
    for (let kind = 1; kind < classes; kind += 1) {
      if ((scores[row * classes + kind] ?? 0) > (scores[row * classes + best] ?? 0)) best = kind;
    }
    const score = scores[row * classes + best] ?? 0;
    if (score < LEAST_SCORE) continue;
    const edge = (index: number) => boxes[row * 4 + index] ?? 0;
    candidates.push({ class: best, score, box: [edge(0), edge(1), edge(2), edge(3)] });
  }
  candidates.sort((a, b) => b.score - a.score);
  const kept: FoundObject[] = [];
  for (const one of candidates) {
    if (kept.length === BEST) break;
    if (!kept.some((other) => other.class === one.class && overlap(other.box, one.box) > OVERLAP)) kept.push(one);
  }
  return kept;
}

/** Intersection over union. */
export function overlap(a: Box, b: Box): number {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  if (width <= 0 || height <= 0) return 0;
  const shared = width * height;
  return shared / (area(a) + area(b) - shared);
}

function area([x0, y0, x1, y1]: Box): number {
  return Math.max(0, x1 - x0) * Math.max(0, y1 - y0);
}
