import { fromSamples, type Measured } from '../figure.js';
import type { Lab } from '../lab.js';
import { openLoop } from '../open-loop.js';

/** `e2e_p99_ms`: from the moment at which a tweet was to be sent until the bench has read its output. */
export async function latency(lab: Lab): Promise<Measured> {
  return fromSamples((await openLoop(lab)).endToEndP99Ms);
}
