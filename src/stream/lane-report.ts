import type { Clock } from '../clock.js';
import type { Emit } from '../telemetry/events.js';
import type { Finished, Lane } from './lane.js';

/** Tells of outcomes that are acknowledged. */
export function tell(delivered: readonly Finished[], clock: Clock, emit: Emit): void {
  const now = clock.wall();
  for (const { record, outcome } of delivered) {
    if (outcome.kind === 'dead_letter') {
      emit({ type: 'tweet', outcome: 'dead_letter' });
      emit({ type: 'dead_letter', code: outcome.error.code });
    } else if (outcome.kind === 'retry') emit({ type: 'tweet', outcome: 'retry' });
    else emit({ type: 'tweet', outcome: outcome.value === null ? 'tombstone' : 'output' });
    // The record's clock is the broker's or the producer's, which may be ahead of ours; a record without a time has -1.
    if (record.timestamp >= 0) emit({ type: 'end_to_end', seconds: Math.max(0, now - record.timestamp) / 1000 });
  }
}

/** Tells how far behind a lane is. */
export function reportLane({ topic, partition, oldest, lag }: Lane, clock: Clock, emit: Emit): void {
  const oldestSeconds = oldest && oldest.timestamp >= 0 ? Math.max(0, clock.wall() - oldest.timestamp) / 1000 : 0;
  emit({ type: 'lane', topic, partition, oldestSeconds, lag });
}
