import { ratio } from '../alternate.js';
import { deliveries } from '../deliveries.js';
import type { Measured } from '../figure.js';
import type { Lab } from '../lab.js';

/** `e2e_eos_over_ceiling` */
export async function exactlyOnce(lab: Lab): Promise<Measured> {
  const rates = await deliveries(lab);
  return ratio(rates['exactly once'], rates.ceiling);
}
