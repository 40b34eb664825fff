import { expect, it } from 'vitest';
import { type Box, bestObjects, overlap } from '#mner/image/objects.js';

const CLASSES = 4;
/** Rows of a detector's answer: a box, and its score for one class. */
function detect(...rows: [box: Box, kind: number, score: number][]) {
  const scores = new Float32Array(rows.length * CLASSES);
  rows.forEach(([, kind, score], row) => {
    scores[row * CLASSES + kind] = score;
  });
  return bestObjects(Float32Array.from(rows.flatMap(([box]) => box)), scores).map((found) => [
    found.class,
    found.box[0],
  ]);
}

it('keeps what is likely, best first', () => {
  const box = (x: number): Box => [x, 0, x + 0.125, 0.125];
  expect(detect([box(0), 1, 0.25], [box(0.25), 2, 0.5], [box(0.5), 3, 0.75])).toEqual([
    [3, 0.5],
    [2, 0.25],
  ]);
  expect(detect()).toEqual([]);
});

it('keeps five at most', () => {
  const rows = Array.from({ length: 7 }, (_, at): [Box, number, number] => [
    [at / 8, 0, at / 8 + 0.1, 0.1],
    0,
    0.5 + at / 16,
  ]);
  expect(detect(...rows).map(([, x]) => x)).toEqual([6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8]);
});

it('keeps the better of two that overlap by more than half, within a class', () => {
  expect(detect([[0, 0, 1, 1], 1, 0.5], [[0.125, 0, 1, 1], 1, 0.75])).toEqual([[1, 0.125]]);
  expect(detect([[0, 0, 1, 1], 1, 0.5], [[0.125, 0, 1, 1], 2, 0.75])).toHaveLength(2);
  expect(detect([[0, 0, 1, 1], 1, 0.5], [[0.5, 0, 1, 1], 1, 0.75])).toHaveLength(2);
});

it('keeps of equals the first', () => {
  expect(detect([[0, 0, 1, 1], 1, 0.5], [[0.125, 0, 1, 1], 1, 0.5])).toEqual([[1, 0]]);
});

it('gives each box its best class only', () => {
  const found = bestObjects(Float32Array.of(0, 0, 1, 1), Float32Array.of(0.5, 0.75, 0.625, 0));
  expect(found).toEqual([{ class: 1, score: 0.75, box: [0, 0, 1, 1] }]);
});

it('measures overlap', () => {
  expect(overlap([0, 0, 1, 1], [0, 0, 1, 1])).toBe(1);
  expect(overlap([0, 0, 1, 1], [0.5, 0, 1.5, 1])).toBeCloseTo(1 / 3);
  expect(overlap([0, 0, 1, 1], [1, 0, 2, 1])).toBe(0);
  expect(overlap([0, 0, 0, 0], [0, 0, 0, 0])).toBe(0);
});
