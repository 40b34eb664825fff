import { describe, expect, it } from 'vitest';
import { randomOf } from '../support/random.js';
import { MUTANTS } from './mutants.js';
import { type DeliveryMode, type SimulationOptions, simulate } from './simulation.js';

/** More, or others: `MNER_TEST_SIMULATIONS=20000 MNER_TEST_SEED=7`. */
const RUNS = Number(process.env.MNER_TEST_SIMULATIONS ?? 500);
/** Among so many a broken law shows; mostly in the first few, the rarest in one of a hundred or two. */
const MUTANT_RUNS = 1000;
const FIRST_SEED = Number(process.env.MNER_TEST_SEED ?? 1);
const MODES: readonly DeliveryMode[] = ['at_least_once', 'exactly_once'];

// Thousands of errors are thrown on purpose, and nobody reads where.
Error.stackTraceLimit = 0;
const systemRandom = Math.random;

/** @param enough problems after which it stops */
async function run(options: SimulationOptions, runs: number, enough = 10) {
  const broken: string[] = [];
  const happened: Record<string, number> = {};
  for (let seed = FIRST_SEED; seed < FIRST_SEED + runs && broken.length < enough; seed += 1) {
    // The jitter of waits comes from here too, and the seed alone shall decide.
    Math.random = randomOf(seed);
    const simulated = await simulate(seed, options);
    for (const problem of simulated.problems) broken.push(`seed ${seed}: ${problem}`);
    for (const [what, times] of Object.entries(simulated.happened)) happened[what] = (happened[what] ?? 0) + times;
  }
  Math.random = systemRandom;
  return { broken, happened };
}

describe('lanes, batcher and commits in random interleavings', () => {
  it.each(MODES)(`%s: the laws hold in ${RUNS} of them`, { timeout: 240_000 }, async (delivery) => {
    const { broken, happened } = await run({ delivery }, RUNS);
    const figures = Object.entries(happened).map(([what, times]) => `${times} ${what}`);
    console.log(`${RUNS} interleavings, ${delivery}: ${figures.sort().join(', ')}`);
    expect(broken).toEqual([]);
    expect(Object.values(happened).every((times) => times >= RUNS / 10)).toBe(true);
  });

  it.each(MUTANTS)('would find an adapter that $name', { timeout: 60_000 }, async ({ delivery, mutate }) => {
    const { broken } = await run({ delivery, mutate }, MUTANT_RUNS, 1);
    expect(broken.length).toBeGreaterThan(0);
  });
});
