import { fromSamples, type Measured } from '../figure.js';
import type { Lab } from '../lab.js';
import { openLoop } from '../open-loop.js';

/** What the goal allows beside the deadline and a batch, in milliseconds. */
const GRACE_MS = 5;

/** `queue_wait_p99_ms`: from a row's arrival at the batcher until its batch begins to run. */
export async function queueWait(lab: Lab): Promise<Measured> {
  const { queueWaitP99Ms, batchMs } = await openLoop(lab);
  return { ...fromSamples(queueWaitP99Ms), goal: lab.config.batch_deadline_ms + batchMs + GRACE_MS };
}
