import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { FAULT_KINDS, type Hand, inWords, planOf } from './plan.js';
import { trafficOf } from './traffic.js';

const HANDS: readonly Hand[] = ['workers', 'world'];
const first = (seed: number, hand: Hand, count: number) => {
  const plan = planOf(seed, hand);
  return Array.from({ length: count }, () => plan.next().value);
};

it('the same seed plans the same faults again, and another one others', () => {
  for (const hand of HANDS) {
    expect(first(7, hand, 200)).toEqual(first(7, hand, 200));
    expect(first(7, hand, 200)).not.toEqual(first(8, hand, 200));
  }
});

it('every kind of fault comes up within what half an hour has room for', () => {
  const kinds = new Set(HANDS.flatMap((hand) => first(1, hand, 100)).map(({ fault }) => fault.kind));
  expect([...kinds].sort()).toEqual([...FAULT_KINDS].sort());
});

it('a fault says in words all that its plan says', () => {
  const said = inWords({ kind: 'kill_worker', worker: 1, downMs: 500 });
  expect(said).toBe('kill worker, worker 1, downMs 500');
});

it('the same seed sends the same records again, of every kind', () => {
  const records = (seed: number) => Array.from({ length: 2000 }, (_, n) => trafficOf(seed, n, ['http://a/1.jpg']));
  const bytes = (seed: number) =>
    createHash('sha256')
      .update(JSON.stringify(records(seed)))
      .digest('hex');
  expect(bytes(7)).toBe(bytes(7));
  expect(bytes(7)).not.toBe(bytes(8));
  const kinds = new Set(records(7).map(({ deserves }) => deserves));
  expect([...kinds].sort()).toEqual([
    'bad_json',
    'no_text',
    'output',
    'output_too_large',
    'tombstone',
    'unknown_shape',
  ]);
  expect(new Set(records(7).map(({ id }) => id)).size).toBe(2000);
});
