import { ratio } from '../alternate.js';
import type { Measured } from '../figure.js';
import type { Lab } from '../lab.js';
import { peers } from '../peers.js';

/** `over_naive`: the worker ÷ naive-program.ts. */
export async function overNaive(lab: Lab): Promise<Measured> {
  const { ours, naive } = await peers(lab);
  return { ...ratio(ours, naive), goal: naiveGoal(lab.provider) };
}

/** A call for one message leaves a GPU idle for far more of the time than a CPU. */
export function naiveGoal(provider: string): number {
  return provider === 'cpu' ? 2 : 5;
}
