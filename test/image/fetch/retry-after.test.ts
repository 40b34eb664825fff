import { expect, it } from 'vitest';
import { retryAfterMs } from '#mner/image/fetch/retry-after.js';

const NOON = Date.parse('Sun, 06 Nov 1994 12:00:00 GMT');

it.each([
  ['120', 120_000],
  [' 1 ', 1000],
  ['Sun, 06 Nov 1994 12:00:30 GMT', 30_000],
  ['Sunday, 06-Nov-94 12:00:30 GMT', 30_000],
  ['Sun Nov  6 12:00:30 1994', 30_000],
])('reads "%s"', (header, ms) => {
  expect(retryAfterMs(header, undefined, NOON)).toBe(ms);
});

it.each([
  undefined,
  ['1', '2'],
  '',
  '0',
  '-5',
  '1.5',
  '1e3',
  '99999999999',
  'soon',
  'Sun, 06 Nov 1994 12:00:00 GMT',
  'Sun, 06 Nov 1994 11:00:00 GMT',
])('takes %j for no pause', (header) => {
  expect(retryAfterMs(header, undefined, NOON)).toBeNull();
});

it('counts from the host’s own clock, where it says what that shows', () => {
  const date = 'Mon, 07 Nov 1994 12:00:00 GMT';
  expect(retryAfterMs('Mon, 07 Nov 1994 12:00:10 GMT', date, NOON)).toBe(10_000);
  expect(retryAfterMs('Sun, 06 Nov 1994 12:00:10 GMT', 'nonsense', NOON)).toBe(10_000);
});
