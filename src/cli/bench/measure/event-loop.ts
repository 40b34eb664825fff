import { fromSamples, type Measured } from '../figure.js';
import type { Lab } from '../lab.js';
import { saturated } from '../saturated.js';

/** `event_loop_p99_ms`: from the worker's own /metrics, which begins anew with every read. */
export async function eventLoop(lab: Lab): Promise<Measured> {
  return fromSamples((await saturated(lab)).lagMs);
}
