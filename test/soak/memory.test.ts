import { expect, it } from 'vitest';
import { slopeOf } from './memory.js';

const samples = (mb: (minute: number) => number) =>
  Array.from({ length: 60 }, (_, i) => ({ minutes: i / 2, mb: mb(i / 2) }));

it('flat memory has no slope, whatever peaks there are', () => {
  expect(slopeOf(samples(() => 300))).toBe(0);
  expect(slopeOf(samples((minute) => (minute % 7 === 3 ? 900 : 300)))).toBe(0);
});

it('a leak shows as MB a minute', () => {
  expect(slopeOf(samples((minute) => 300 + 2 * minute))).toBeCloseTo(2);
  expect(slopeOf(samples((minute) => 300 + 2 * minute + (minute % 5 === 0 ? 200 : 0)))).toBeCloseTo(2, 0);
});
