import { expect, it } from 'vitest';
import { tokenBucket } from '#mner/image/fetch/rate.js';

const take = (bucket: ReturnType<typeof tokenBucket>, times: number, now: number) =>
  Array.from({ length: times }, () => bucket.take(now, 10_000));

it('spends a second’s worth at once, then as they flow in', () => {
  const bucket = tokenBucket(4);
  expect(take(bucket, 7, 100)).toEqual([0, 0, 0, 0, 250, 500, 750]);
});

it('fills up at rest, and no further than a second’s worth', () => {
  const bucket = tokenBucket(4);
  take(bucket, 4, 0);
  expect(take(bucket, 3, 500)).toEqual([0, 0, 250]);
  expect(take(bucket, 5, 600_000)).toEqual([0, 0, 0, 0, 250]);
});

it('takes no token for whom it would come too late', () => {
  const bucket = tokenBucket(1);
  expect(bucket.take(0, 0)).toBe(0);
  expect(bucket.take(0, 999)).toBeNull();
  expect(bucket.take(0, 1000)).toBe(1000);
  expect(bucket.take(0, 1999)).toBeNull();
});
