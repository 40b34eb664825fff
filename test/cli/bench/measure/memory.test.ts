import { expect, it } from 'vitest';
import { slope } from '#mner/cli/bench/measure/memory.js';

it('puts a line through memory, whatever it swings by', () => {
  const swinging = Array.from({ length: 100 }, (_, i) => ({ minutes: i / 10, mb: 300 + 2 * (i / 10) + 5 * (-1) ** i }));
  expect(slope(swinging)).toBeCloseTo(2, 1);
  expect(slope([{ minutes: 1, mb: 300 }])).toBe(0);
});
