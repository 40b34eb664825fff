import { expect, it } from 'vitest';
import { allFinite, floatToHalf, halfToFloat } from '#mner/image/half.js';

it('knows the values of the standard', () => {
  const known: [number, number][] = [
    [0x0000, 0],
    [0x3c00, 1],
    [0xc000, -2],
    [0x3555, 0.333251953125],
    [0x7bff, 65_504],
    [0x0001, 2 ** -24],
    [0x03ff, 1023 * 2 ** -24],
    [0x0400, 2 ** -14],
    [0x7c00, Number.POSITIVE_INFINITY],
    [0xfc00, Number.NEGATIVE_INFINITY],
  ];
  for (const [half, value] of known) {
    expect(halfToFloat(half)).toBe(value);
    expect(floatToHalf(value)).toBe(half);
  }
  expect(halfToFloat(0x7e00)).toBeNaN();
  expect(floatToHalf(Number.NaN) & 0x7fff).toBe(0x7e00);
});

it('gives every float16 back', () => {
  const lost: number[] = [];
  for (let half = 0; half < 0x10000; half += 1) {
    if (allFinite(Uint16Array.of(half)) && floatToHalf(halfToFloat(half)) !== half) lost.push(half);
  }
  expect(lost).toEqual([]);
});

it('rounds to the nearest, ties to even', () => {
  expect(floatToHalf(1 + 2 ** -11)).toBe(0x3c00);
  expect(floatToHalf(1 + 3 * 2 ** -11)).toBe(0x3c02);
  expect(floatToHalf(1 + 2 ** -11 + 2 ** -20)).toBe(0x3c01);
  expect(floatToHalf(65_519)).toBe(0x7bff);
  expect(floatToHalf(65_520)).toBe(0x7c00);
  expect(floatToHalf(2 ** -25)).toBe(0);
  expect(floatToHalf(3 * 2 ** -25)).toBe(2);
  expect(floatToHalf(1023.6 * 2 ** -24)).toBe(0x0400);
  expect(floatToHalf(-(2 ** -24))).toBe(0x8001);
});

it('tells numbers from what is none', () => {
  const halves = [0, 0x7bff, 0xfbff, 0x7c00, 0xfc00, 0x7e00, 0xffff];
  expect(halves.map((half) => allFinite(Uint16Array.of(1, half, 2)))).toEqual(halves.map((_, at) => at < 3));
  const floats = [0, -3.4e38, 1e-45, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN];
  expect(floats.map((one) => allFinite(Float32Array.of(1, one, 2).subarray(1)))).toEqual(floats.map((_, at) => at < 3));
  expect(allFinite(new Float32Array(0))).toBe(true);
});
