import { ratio } from '../alternate.js';
import { deliveries } from '../deliveries.js';
import type { Measured } from '../figure.js';
import type { Lab } from '../lab.js';

/** `eos_over_alo` */
export async function exactlyOverAtLeastOnce(lab: Lab): Promise<Measured> {
  const rates = await deliveries(lab);
  return ratio(rates['exactly once'], rates['at least once']);
}
