import { expect, it } from 'vitest';
import { seeded } from '#mner/ner/random.js';

const draw = (seed: number) => {
  const random = seeded(seed);
  return Array.from({ length: 8 }, () => random.below(1000));
};

it('draws the same numbers for the same seed, on every machine', () => {
  expect(draw(1)).toEqual(draw(1));
  expect(draw(2)).not.toEqual(draw(1));
  expect(draw(1)).toEqual([627, 2, 527, 981, 968, 281, 612, 720]);
});

it('draws every number about as often, and heads as often as tails', () => {
  const random = seeded(7);
  const counts = new Array<number>(10).fill(0);
  let heads = 0;
  for (let i = 0; i < 100_000; i++) {
    const number = random.below(10);
    counts[number] = (counts[number] ?? 0) + 1;
    if (random.coin()) heads++;
  }
  // Five standard deviations of a fair draw.
  for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(475);
  expect(Math.abs(heads - 50_000)).toBeLessThan(791);
});
