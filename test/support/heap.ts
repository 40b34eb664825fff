import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Gives a function that collects garbage and tells the megabytes that are left, in V8's heap and outside it. */
export function heapGauge(): () => number {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  return () => {
    gc();
    gc();
    const { heapUsed, external } = process.memoryUsage();
    return (heapUsed + external) / 1024 / 1024;
  };
}

/**
 * Megabytes that each stretch of work leaves in use. What leaks, leaks in every one of them; what is compiled late, or a table
 * that doubles, costs in one.
 */
export async function growthOf(
  used: () => number | Promise<number>,
  stretches: readonly (() => Promise<void>)[],
): Promise<number[]> {
  const grown: number[] = [];
  for (const work of stretches) {
    const before = await used();
    await work();
    grown.push((await used()) - before);
  }
  return grown;
}
