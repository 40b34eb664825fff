import { MnerError } from '../errors.js';
import type { Emit, Event } from '../telemetry/events.js';
import { keyOf } from './partition-key.js';
import type { GroupOffset, OutOfRange, TopicPartition } from './port.js';

export interface BeginOptions {
  readonly from: 'earliest' | 'latest';
  readonly outOfRange: OutOfRange;
  readonly emit: Emit;
}

type Reset = Omit<Extract<Event, { type: 'offset_reset' }>, 'type'>;

/** Where a group begins in a partition, and goes on when the log has lost its place. */
export interface BeginPolicy {
  /**
   * Where a partition is read from. Of a committed offset the log may have let go, where retention was faster than the group:
   * records are lost then, so it is told, or ends the worker, as the policy says. One beyond the end is left to the broker to
   * judge, since the end that we know may be that of an open transaction.
   *
   * @throws MnerError `offset_out_of_range`
   */
  at(topic: string, found: GroupOffset): bigint;
  /** Tells that a partition is read on elsewhere; once for each lost offset, however often it is looked at. */
  reset(reset: Reset): void;
}

export function beginPolicy({ from, outOfRange, emit }: BeginOptions): BeginPolicy {
  /** The offset that was told last, by partition. */
  const told = new Map<string, bigint>();

  const reset = (one: Reset): void => {
    const key = keyOf(one);
    if (told.get(key) === one.from) return;
    told.set(key, one.from);
    emit({ type: 'offset_reset', ...one });
  };

  return {
    reset,
    at(topic, { partition, start, end, committed }) {
      if (committed === null) return from === 'earliest' ? start : end;
      if (committed >= start) return committed;
      if (outOfRange === 'fail') throw outOfLog({ topic, partition }, committed, `it holds ${start} to ${end}`);
      const to = outOfRange === 'earliest' ? start : end;
      reset({ topic, partition, from: committed, to, policy: outOfRange });
      return to;
    },
  };
}

/** @param holds what there is instead, as a clause */
export function outOfLog({ topic, partition }: TopicPartition, offset: bigint, holds: string): MnerError {
  const message = `Offset ${offset} of ${topic}, partition ${partition}, is not in the log (${holds}); offset_out_of_range says to stop here.`;
  return new MnerError('offset_out_of_range', message);
}
