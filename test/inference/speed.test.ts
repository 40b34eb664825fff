import { describe, expect, it } from 'vitest';
import { manualClock } from '#mner/clock.js';
import { chooseSpeed, measureSpeeds, TRIAL_PIECES } from '#mner/inference/speed.js';

/** A model that takes so long for a batch, in ms, by its rows. */
function modelOf(msOf: (rows: number, run: number) => number) {
  const clock = manualClock();
  const runs: number[] = [];
  const run = async (rows: number) => {
    clock.advance(msOf(rows, runs.length));
    runs.push(rows);
  };
  return { clock, run, runs };
}

describe('the trial of token budgets', () => {
  it('finds how fast each is, the warm-up left out', async () => {
    // A call costs 10 ms and each row one; the first run is slow.
    const { clock, run, runs } = modelOf((rows, nth) => 10 + rows + (nth === 0 ? 1000 : 0));
    const speeds = await measureSpeeds(run, [256, 1024], 2000, 1, clock);
    expect(speeds.map(({ budget }) => budget)).toEqual([256, 1024]);
    expect(speeds[0]?.tokensPerSecond).toBeCloseTo((1000 * 8 * TRIAL_PIECES) / 18, 6);
    expect(speeds[1]?.tokensPerSecond).toBeCloseTo((1000 * 32 * TRIAL_PIECES) / 42, 6);
    expect(runs.length).toBeGreaterThan(20);
    expect(clock.now()).toBeLessThanOrEqual(2000);
  });

  it('takes the best of the rounds: what else the machine does only slows a run down', async () => {
    const { clock, run } = modelOf((rows, nth) => rows * (nth % 3 === 0 ? 1 : 5));
    const speeds = await measureSpeeds(run, [256, 512], 1000, 1, clock);
    for (const { tokensPerSecond } of speeds) expect(tokensPerSecond).toBeCloseTo(1000 * TRIAL_PIECES, 6);
  });

  it('leaves out what would take too long, but always tries the first', async () => {
    const { clock, run, runs } = modelOf((rows) => rows * 100);
    const speeds = await measureSpeeds(run, [256, 512, 1024, 2048], 4000, 1, clock);
    expect(speeds.map(({ budget }) => budget)).toEqual([256, 512]);
    expect(clock.now()).toBeLessThanOrEqual(4000);
    expect(runs).toEqual([8, 8, 16]);
    const slow = modelOf(() => 60_000);
    expect(await measureSpeeds(slow.run, [256, 512], 1000, 1, slow.clock)).toHaveLength(1);
    expect(slow.runs).toHaveLength(2);
  });
});

describe('the choice', () => {
  it('is the smallest budget that is nearly as fast as the best', () => {
    const speeds = [100, 191, 200, 199].map((tokensPerSecond, i) => ({ budget: 256 << i, tokensPerSecond }));
    expect(chooseSpeed(speeds).budget).toBe(512);
    expect(chooseSpeed(speeds, 1, 0.01).budget).toBe(1024);
    expect(chooseSpeed(speeds.slice(0, 1)).budget).toBe(256);
  });

  it('took 256 tokens where all budgets were equally fast, and a batch costs more than its run', () => {
    const speeds = [256, 512, 1024].map((budget) => ({ budget, tokensPerSecond: 6400 }));
    expect(chooseSpeed(speeds).budget).toBe(512);
  });
});
