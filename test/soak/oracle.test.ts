import { describe, expect, it } from 'vitest';
import { judge, type Seen } from './oracle.js';
import type { Deserved } from './traffic.js';

const input = (id: string, partition: number, offset: number): Seen => ({
  ...{ topic: 'in', partition, offset: BigInt(offset), id },
  ...{ digest: `bytes of ${id}`, source: null, outcome: null },
});
let place = 0n;
const outcome = (of: Seen, change: Partial<Seen> = {}): Seen => ({
  ...{ topic: 'out', partition: of.partition, offset: place++, id: of.id, digest: null },
  ...{ source: { partition: of.partition, offset: of.offset }, outcome: 'output', ...change },
});
const deserved = (id: string): Deserved | undefined =>
  id.startsWith('x') ? undefined : id.startsWith('p') ? 'bad_json' : 'output';
const [a, b, c, p] = [input('a', 0, 0), input('b', 0, 1), input('c', 1, 0), input('p', 1, 1)];
const letter = (change: Partial<Seen> = {}) =>
  outcome(p, { topic: 'dead', digest: 'bytes of p', outcome: 'bad_json', ...change });
const clean = { lost: [], repeated: [], wrong: [], disordered: [] };

describe('the judge of the soak', () => {
  it('has nothing to say where each input has one outcome', () => {
    expect(judge([a, b, c, p], [outcome(a), outcome(b), outcome(c), letter()], deserved)).toEqual(clean);
  });

  it('finds what is lost', () => {
    expect(judge([a, b], [outcome(a)], deserved)).toEqual({ ...clean, lost: ['b at 0/1'] });
  });

  it('finds what is doubled, be it in another topic', () => {
    const twice = judge([a, p], [outcome(a), outcome(a), letter(), outcome(p)], deserved);
    expect(twice.repeated).toHaveLength(2);
    expect(twice.lost).toEqual([]);
  });

  it('takes the same id at two places for two inputs', () => {
    const again = input('a', 0, 5);
    expect(judge([a, again], [outcome(a), outcome(again)], deserved)).toEqual(clean);
    expect(judge([a, again], [outcome(a)], deserved).lost).toEqual(['a at 0/5']);
  });

  it('finds the wrong outcome, the wrong code, other bytes, and outcomes from nowhere', () => {
    expect(judge([p], [outcome(p)], deserved).wrong).toHaveLength(1);
    expect(judge([p], [letter({ outcome: 'no_text' })], deserved).wrong).toHaveLength(1);
    expect(judge([p], [letter({ digest: 'bytes of q' })], deserved).wrong).toHaveLength(1);
    expect(judge([a], [outcome(a), outcome(b)], deserved).wrong).toHaveLength(1);
    expect(judge([a], [outcome(a, { id: 'x' })], deserved)).toMatchObject({ wrong: [expect.any(String)] });
  });

  it('finds an outcome before that of an older input, and lets repetitions go back', () => {
    expect(judge([a, b], [outcome(b), outcome(a)], deserved).disordered).toHaveLength(1);
    expect(judge([a, b], [outcome(a), outcome(b), outcome(a), outcome(b)], deserved).disordered).toEqual([]);
    expect(judge([a, c], [outcome(c), outcome(a)], deserved).disordered).toEqual([]);
  });
});
