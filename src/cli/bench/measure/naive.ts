import { ratio } from '../alternate.js';
import type { Measured } from '../figure.js';
import type { Lab } from '../lab.js';
import { peers } from '../peers.js';

/** `over_naive`: the worker ÷ naive-program.ts. */
export async function overNaive(lab: Lab): Promise<Measured> {
  const { ours, naive } = await peers(lab);
  return ratio(ours, naive);
}
