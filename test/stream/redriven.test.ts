import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LEDGER_CHARACTERS, readRedriven } from '#mner/stream/redriven.js';

const fresh = { partition: 0, start: 0n, end: 100n, committed: null, metadata: '' };

/** What the next redrive reads of what this one keeps. */
const again = (ledger: ReturnType<typeof readRedriven>, start = 0n) => {
  const { offset, metadata } = ledger.place();
  return readRedriven({ ...fresh, start, committed: offset, metadata });
};

describe('which dead letters were sent back', () => {
  it('says what a set of the same offsets says, in whatever order they came, and so does its text', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(120), fc.nat(5)), { maxLength: 40 }),
        fc.nat(40),
        fc.nat(120),
        (spans, start, cut) => {
          const ledger = readRedriven({ ...fresh, start: BigInt(start) });
          const model = new Set<number>();
          for (const [from, length] of spans) {
            ledger.add(BigInt(from), BigInt(from + length));
            for (let at = from; at < from + length; at += 1) model.add(at);
          }
          const later = Math.max(start, cut);
          const [same, cutOff] = [again(ledger), again(ledger, BigInt(later))];
          const said = (of: typeof ledger, from: number) =>
            Array.from({ length: 130 - from }, (_, i) => of.has(BigInt(from + i)));
          const wanted = Array.from({ length: 130 }, (_, at) => model.has(at));
          expect(said(ledger, start)).toEqual(wanted.slice(start));
          expect(said(same, start)).toEqual(wanted.slice(start));
          expect(said(cutOff, later)).toEqual(wanted.slice(later));
          expect(same.place()).toEqual(ledger.place());
        },
      ),
    );
  });

  it('keeps an offset alone when nothing is left between', () => {
    const ledger = readRedriven(fresh);
    ledger.add(0n, 5n);
    ledger.add(5n, 7n);
    expect(ledger.place()).toEqual({ offset: 7n, metadata: '' });
  });

  it('forgets what retention has taken, so that what is left there does not cost room for ever', () => {
    const ledger = readRedriven(fresh);
    for (let at = 1n; at < 2000n; at += 2n) ledger.add(at, at + 1n);
    expect(ledger.place().metadata.length).toBeLessThan(LEDGER_CHARACTERS);
    expect(again(ledger, 1990n).place()).toEqual({ offset: 1990n, metadata: '1.1.1.1.1.1.1.1.1.1' });
  });

  it.each(['not ours', '1..2', '-1.4', 'A.B'])('takes %j, which it did not write, for nothing', (metadata) => {
    expect(readRedriven({ ...fresh, committed: 4n, metadata }).place()).toEqual({ offset: 4n, metadata: '' });
  });
});
