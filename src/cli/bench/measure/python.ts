import { ratio } from '../alternate.js';
import type { Measured, Skipped } from '../figure.js';
import type { Lab } from '../lab.js';
import { peers } from '../peers.js';

/** `over_python_peer`: the worker ÷ bench/peers/python/consumer.py. */
export async function overPython(lab: Lab): Promise<Measured | Skipped> {
  const { ours, python } = await peers(lab);
  return 'skipped' in python ? python : ratio(ours, python);
}
