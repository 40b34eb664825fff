import type { GroupOffset } from './port.js';

/** The most characters that a broker keeps with an offset, by default (`offset.metadata.max.bytes`). */
export const LEDGER_CHARACTERS = 4096;

/**
 * Which dead letters of a partition were sent back. It is kept by the group of `mner dlq redrive`: its offset is the first
 * dead letter that was not, and the metadata beside it are the runs from there on, in base 36: so many left, so many sent
 * back, so many left, and so on. Thus a redrive of one code leaves the others for later, and offset and runs change together
 * with the records that are sent, in one transaction.
 */
export interface Redriven {
  has(offset: bigint): boolean;
  /** All dead letters at `from` or later and before `to` are sent back; where an offset holds none, it costs no run so. */
  add(from: bigint, to: bigint): void;
  /** What the group is to keep. */
  place(): { readonly offset: bigint; readonly metadata: string };
}

/** Offsets from `from` on, below `to`. */
interface Run {
  readonly from: bigint;
  readonly to: bigint;
}

/** @param kept what the group keeps for the partition; what it says of records below `start`, which are gone, is left out */
export function readRedriven({ start, committed, metadata }: GroupOffset): Redriven {
  /** In order, apart from each other, and all above `low`. */
  let runs: Run[] = [];
  /** The first offset that was not sent back. */
  let low = later(start, committed ?? start);

  const add = (from: bigint, to: bigint): void => {
    if (to <= low) return;
    const apart = runs.filter((run) => run.to < from || run.from > to);
    const touching = runs.filter((run) => !apart.includes(run));
    const first = touching[0]?.from ?? from;
    const joined = { from: first < from ? first : from, to: later(touching.at(-1)?.to ?? to, to) };
    runs = [...apart.filter((run) => run.to < joined.from), joined, ...apart.filter((run) => run.from > joined.to)];
    while (runs[0] && runs[0].from <= low) low = later(low, runs.shift()?.to ?? low);
  };

  // Written by us alone; what is not in the form says nothing.
  const lengths = /^[0-9a-z]+(\.[0-9a-z]+)*$/.test(metadata) ? metadata.split('.') : [];
  let at = committed ?? start;
  for (const [i, length] of lengths.entries()) {
    const to = at + BigInt(Number.parseInt(length, 36));
    if (i % 2 === 1) add(at, to);
    at = to;
  }

  return {
    has: (offset) => offset < low || runs.some(({ from, to }) => offset >= from && offset < to),
    add,
    place() {
      let from = low;
      const lengths: string[] = [];
      for (const run of runs) {
        lengths.push((run.from - from).toString(36), (run.to - run.from).toString(36));
        from = run.to;
      }
      return { offset: low, metadata: lengths.join('.') };
    },
  };
}

function later(one: bigint, other: bigint): bigint {
  return one > other ? one : other;
}
