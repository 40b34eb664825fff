import { expect, it } from 'vitest';
import { leaseKey } from '#mner/image/cache/redis-lease.js';
import { slotOf } from '#mner/image/cache/slot.js';

it('is what Redis says (CLUSTER KEYSLOT)', () => {
  expect(slotOf('')).toBe(0);
  expect(slotOf('123456789')).toBe(0x31c3);
  expect(slotOf('foo')).toBe(12_182);
  expect(slotOf('Straße')).toBe(slotOf('{Straße}'));
});

it('is that of the first tag, if there is something in it', () => {
  expect(slotOf('{user1000}.following')).toBe(slotOf('user1000'));
  expect(slotOf('foo{{bar}}zap')).toBe(slotOf('{bar'));
  expect(slotOf('foo{bar}{zap}')).toBe(slotOf('bar'));
  for (const key of ['foo{}{bar}', '{foo', 'foo}']) expect(slotOf(key)).not.toBe(slotOf('foo'));
});

it('puts a value and its lease together, and different pictures apart', () => {
  const keys = Array.from({ length: 50 }, (_, at) => `mner:img:${at}`);
  for (const key of keys) expect(slotOf(leaseKey(key))).toBe(slotOf(key));
  expect(new Set(keys.map(slotOf)).size).toBeGreaterThan(40);
});
