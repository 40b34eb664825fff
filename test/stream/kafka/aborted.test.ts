import { describe, expect, it } from 'vitest';
import { type RawRecord, withoutAborted } from '#mner/stream/kafka/aborted.js';

const record = (offset: number, producerId: string, change: Partial<RawRecord> = {}): RawRecord => ({
  ...{ offset: String(offset), key: null, isControlRecord: false },
  batchContext: { producerId, inTransaction: true },
  ...change,
});
const end = (offset: number, producerId: string, how: 'abort' | 'commit') =>
  record(offset, producerId, { isControlRecord: true, key: Buffer.from([0, 0, 0, how === 'abort' ? 0 : 1]) });
const left = (records: readonly RawRecord[], ...aborted: [producerId: string, firstOffset: number][]) =>
  withoutAborted(
    records,
    aborted.map(([producerId, first]) => ({ producerId, firstOffset: String(first) })),
  )
    .filter(({ isControlRecord }) => !isControlRecord)
    .map(({ offset }) => Number(offset));

describe('records of aborted transactions', () => {
  it('are left out up to the end of the transaction; its producer may be heard again', () => {
    const log = [record(0, 'a'), end(1, 'a', 'abort'), record(2, 'a'), end(3, 'a', 'commit')];
    expect(left(log, ['a', 0])).toEqual([2]);
    expect(left(log)).toEqual([0, 2]);
  });

  it('do not pass where transactions interleave and are listed by their ends', () => {
    const log = [record(0, 'a'), record(1, 'b'), end(2, 'b', 'abort'), record(3, 'a'), end(4, 'a', 'abort')];
    expect(left(log, ['b', 1], ['a', 0])).toEqual([]);
  });

  it('do not pass where a fetch begins in the middle of several transactions', () => {
    const log = [record(7, 'b'), record(8, 'a'), record(9, 'c'), end(10, 'a', 'abort'), end(11, 'b', 'abort')];
    expect(left(log, ['a', 1], ['b', 2])).toEqual([9]);
  });

  it('are told from a record whose key looks like the end of a transaction', () => {
    const key = Buffer.from([0, 0, 0, 0]);
    expect(left([record(0, 'a', { key }), record(1, 'a'), end(2, 'a', 'abort')], ['a', 0])).toEqual([]);
  });

  it('do not take what their producer wrote outside of them along, nor records older than transactions', () => {
    const { batchContext: _, ...old } = record(2, 'a');
    const outside = record(1, 'a', { batchContext: { producerId: 'a', inTransaction: false } });
    expect(left([record(0, 'a'), outside, old, end(3, 'a', 'abort')], ['a', 0])).toEqual([1, 2]);
  });
});
