import { MnerError } from '../errors.js';
import { headerBytes, recordBytes } from './headers.js';
import type { Outcome } from './outcome.js';
import type { InputRecord } from './port.js';

/**
 * What a lane is about with the finished head of its ledger.
 * - `ready`: nothing of it is under way.
 * - `delivering`: a batch of outcomes is being written.
 * - `waiting`: writing failed for now, and is tried again after a while; nothing is dropped.
 * - `closed`: the partition is no longer ours under this epoch; whatever still comes back is void.
 */
export type LaneState = 'ready' | 'delivering' | 'waiting' | 'closed';

/** `take`: a batch is handed out; `acknowledge`: it is written for good; `stumble`/`recover`: writing failed / is tried again. */
export type LaneEvent = 'take' | 'acknowledge' | 'stumble' | 'recover' | 'close';

/** Every transition there is. Records arrive and finish in any state; in `closed` that does nothing. */
export const LANE_TRANSITIONS: Readonly<Record<LaneState, Readonly<Partial<Record<LaneEvent, LaneState>>>>> = {
  ready: { take: 'delivering', close: 'closed' },
  delivering: { acknowledge: 'ready', stumble: 'waiting', close: 'closed' },
  waiting: { recover: 'delivering', close: 'closed' },
  closed: { take: 'closed', acknowledge: 'closed', stumble: 'closed', recover: 'closed', close: 'closed' },
};

/** A record and what became of it. */
export interface Finished {
  readonly record: InputRecord;
  readonly outcome: Outcome;
}

/** Outcomes of the oldest records of a lane, in the order of their offsets, without one missing. */
export interface Batch {
  readonly finished: readonly Finished[];
  /** One past the last of them: what may be committed once they are acknowledged. */
  readonly nextOffset: bigint;
}

/**
 * The lane of one input partition: all its records from arrival to acknowledgement, in the order of their offsets. They
 * finish in any order and leave in this one. Pure: it does nothing by itself and knows no time.
 */
export interface Lane {
  readonly topic: string;
  readonly partition: number;
  readonly state: LaneState;
  /** Records that arrived and are not acknowledged, and the bytes that they hold. */
  readonly size: number;
  readonly bytes: number;
  /** Records being processed: started and not finished. */
  readonly processing: number;
  /** Finished records at the head, which can be taken, or are out. */
  readonly ready: number;
  /** The next offset to commit: one past the last acknowledged record; undefined before the first. */
  readonly watermark: bigint | undefined;
  /** The lowest offset that may arrive; undefined before the first. */
  readonly expected: bigint | undefined;
  /** The oldest record without an acknowledged outcome. */
  readonly oldest: InputRecord | undefined;
  /** When it arrived here. */
  readonly oldestArrival: number | undefined;
  /** Records between the watermark and the end of the log, as it stood at the last arrival; 0 before the first. */
  readonly lag: number;
  /**
   * Records came, in order, with gaps where the log has them. Returns the bytes that they hold.
   * @param now the moment, in milliseconds of whatever clock; @default 0
   * @throws MnerError `internal` when one is older than what came before
   */
  arrive(records: readonly InputRecord[], end: bigint, now?: number): number;
  /**
   * The next records to process, so that at most `limit` are in process at once.
   *
   * @param may whether a record may be processed now; those behind one that may not wait with it
   */
  start(limit: number, may?: (record: InputRecord) => boolean): readonly InputRecord[];
  /** A started record has its outcome. False when that is void: the lane is closed. */
  finish(offset: bigint, outcome: Outcome): boolean;
  /** Hands out finished records from the head, at least one; undefined when there is none, or a batch is out already. */
  take(limits: { readonly records: number; readonly bytes: number }): Batch | undefined;
  /** The batch that was handed out is written for good; it leaves the ledger. Returns the bytes that it held. */
  acknowledge(): number;
  stumble(): void;
  recover(): void;
  /** Gives up the records that were not started; they are read again by the next owner. Returns the bytes that they held. */
  dropUnstarted(): number;
  /**
   * A started record comes back without an outcome, because a drain has let go of it. It is given up with all behind it, finished or not,
   * since nothing behind a gap may be committed. Returns the bytes of those that are not in process.
   */
  abandon(offset: bigint): number;
  /** Returns the bytes of the records that are not in process; those in process hold theirs until they come back. */
  close(): number;
}

interface Entry {
  readonly record: InputRecord;
  readonly bytes: number;
  readonly arrived: number;
  outcome: Outcome | undefined;
}

export function createLane(topic: string, partition: number): Lane {
  let state: LaneState = 'ready';
  /** In the order of their offsets: first those handed out, then others that were started, then those that wait. */
  let ledger: Entry[] = [];
  const byOffset = new Map<bigint, Entry>();
  let out = 0;
  let started = 0;
  let processing = 0;
  let ready = 0;
  let bytes = 0;
  let watermark: bigint | undefined;
  let expected: bigint | undefined;
  let end = 0n;

  const move = (event: LaneEvent): void => {
    const next = LANE_TRANSITIONS[state][event];
    if (!next) throw new MnerError('internal', `A lane that is ${state} cannot ${event}.`);
    state = next;
  };

  /** Bytes of the records in process, from a place in the ledger on. */
  const heldInProcess = (from: number): number =>
    ledger.slice(from, started).reduce((sum, entry) => sum + (entry.outcome ? 0 : entry.bytes), 0);

  const forget = (entries: readonly Entry[]): number => {
    let freed = 0;
    for (const entry of entries) {
      byOffset.delete(entry.record.offset);
      freed += entry.bytes;
    }
    bytes -= freed;
    return freed;
  };

  return {
    topic,
    partition,
    get state() {
      return state;
    },
    get size() {
      return ledger.length;
    },
    get bytes() {
      return bytes;
    },
    get processing() {
      return processing;
    },
    get ready() {
      while (ledger[ready]?.outcome) ready += 1;
      return ready;
    },
    get watermark() {
      return watermark;
    },
    get expected() {
      return expected;
    },
    get oldest() {
      return ledger[0]?.record;
    },
    get oldestArrival() {
      return ledger[0]?.arrived;
    },
    get lag() {
      const from = watermark ?? ledger[0]?.record.offset;
      return from === undefined || end < from ? 0 : Number(end - from);
    },
    arrive(records, newEnd, now = 0) {
      if (state === 'closed') return 0;
      let arrived = 0;
      for (const record of records) {
        if (expected !== undefined && record.offset < expected)
          throw new MnerError('internal', `Offset ${record.offset} of ${topic}, partition ${partition}, came twice.`);
        const entry: Entry = { record, bytes: heldBytes(record), arrived: now, outcome: undefined };
        ledger.push(entry);
        byOffset.set(record.offset, entry);
        arrived += entry.bytes;
        expected = record.offset + 1n;
      }
      bytes += arrived;
      end = newEnd;
      return arrived;
    },
    start(limit, may = () => true) {
      const count = Math.min(limit - processing, ledger.length - started);
      if (count <= 0 || state === 'closed') return [];
      const next = ledger.slice(started, started + count).map(({ record }) => record);
      const held = next.findIndex((record) => !may(record));
      if (held >= 0) next.length = held;
      started += next.length;
      processing += next.length;
      return next;
    },
    finish(offset, outcome) {
      processing -= 1;
      const entry = byOffset.get(offset);
      if (state === 'closed' || !entry) return false;
      entry.outcome = outcome;
      return true;
    },
    take(limits) {
      if (state !== 'ready') return undefined;
      const finished: Finished[] = [];
      let size = 0;
      for (const { record, outcome } of ledger) {
        if (!outcome || finished.length >= limits.records) break;
        size += outcomeBytes(record, outcome);
        if (size > limits.bytes && finished.length > 0) break;
        finished.push({ record, outcome });
      }
      const last = finished.at(-1);
      if (!last) return undefined;
      move('take');
      out = finished.length;
      return { finished, nextOffset: last.record.offset + 1n };
    },
    acknowledge() {
      move('acknowledge');
      const gone = ledger.splice(0, out);
      const last = gone.at(-1);
      if (!last) return 0;
      started -= out;
      ready = Math.max(0, ready - out);
      out = 0;
      watermark = last.record.offset + 1n;
      return forget(gone);
    },
    stumble: () => move('stumble'),
    recover: () => move('recover'),
    dropUnstarted() {
      const dropped = ledger.slice(started);
      ledger = ledger.slice(0, started);
      return forget(dropped);
    },
    abandon(offset) {
      processing -= 1;
      const entry = byOffset.get(offset);
      // Closed meanwhile, or behind another one that came back so.
      if (!entry) return 0;
      const at = ledger.indexOf(entry);
      const inProcess = heldInProcess(at);
      // What is out is finished, and so before it.
      const freed = forget(ledger.splice(at)) - inProcess;
      started = Math.min(started, at);
      ready = Math.min(ready, at);
      return freed;
    },
    close() {
      if (state === 'closed') return 0;
      move('close');
      const freed = bytes - heldInProcess(0);
      ledger = [];
      byOffset.clear();
      bytes = 0;
      out = 0;
      started = 0;
      ready = 0;
      return freed;
    },
  };
}

/** What the objects around a record take, so that many small records count for what they cost. */
const OVERHEAD_BYTES = 1024;

/** The memory that a record holds from its arrival on, roughly. */
export function heldBytes(record: InputRecord): number {
  return OVERHEAD_BYTES + recordBytes(record);
}

/** What the outcome adds to a batch on the wire; the broker's framing is a few bytes more. */
function outcomeBytes(record: InputRecord, outcome: Outcome): number {
  const key = record.key?.length ?? 0;
  if (outcome.kind !== 'output') return key + (record.value?.length ?? 0) + headerBytes(record.headers);
  return key + (outcome.value?.length ?? 0) + headerBytes(outcome.headers);
}
