import { mkdirSync, mkdtempSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { median, slopeOf } from './memory.js';
import { type Soaked, soak } from './soak.js';

const { MNER_SOAK_MINUTES, MNER_SOAK_SEED, MNER_SOAK_DELIVERY, MNER_SOAK_RATE, MNER_SOAK_BUNDLE, MNER_SOAK_LOGS } =
  process.env;
/** By `npm run test:soak` alone: even a minute of it is long for the suite. */
const minutes = Number(MNER_SOAK_MINUTES ?? 0);
const seed = Number(MNER_SOAK_SEED ?? 0);
const rate = Number(MNER_SOAK_RATE ?? 20);
const bundle = MNER_SOAK_BUNDLE ?? 'ham-int8';
const delivery = MNER_SOAK_DELIVERY === 'at_least_once' ? 'at_least_once' : 'exactly_once';
/** For so long caches, heaps and the inference process grow to their size; at least as long again must follow to say anything. */
const SETTLING_MINUTES = 10;
/** Of the contract's figures: `rss_slope_mb_per_min`. */
const MEMORY_SLOPE = 1;
const few = (lines: readonly string[]) => lines.slice(0, 10);
/** Past the test runner, which would hold lines back. */
const say = (line: string) => void writeSync(2, `${line}\n`);

describe.runIf(minutes > 0)(`a soak, ${delivery}${minutes > 0 ? '' : ' (skipped: see npm run test:soak)'}`, () => {
  let soaked: Soaked;

  beforeAll(
    async () => {
      const scratch = mkdtempSync(join(tmpdir(), 'mner-soak-'));
      const logs = MNER_SOAK_LOGS || join(scratch, 'logs');
      mkdirSync(logs, { recursive: true });
      try {
        soaked = await soak({ minutes, seed, delivery, rate, bundle, logs, say });
      } finally {
        rmSync(scratch, { recursive: true, force: true, maxRetries: 5 });
      }
    },
    (2 * minutes + 20) * 60_000,
  );

  it('strikes, and has something to lose', () => {
    expect(soaked.faults).toBeGreaterThan(0);
    expect(soaked.inputs).toBeGreaterThan(0);
  });
  it('loses nothing', () => expect(few(soaked.verdict.lost)).toEqual([]));
  it.runIf(delivery === 'exactly_once')('doubles nothing, where exactly once is promised', () =>
    expect(few(soaked.verdict.repeated)).toEqual([]),
  );
  it('gives each record the outcome that it deserves, dead letters with their own bytes', () =>
    expect(few(soaked.verdict.wrong)).toEqual([]));
  it('keeps the order of each input partition', () => expect(few(soaked.verdict.disordered)).toEqual([]));
  it('shows kcat the same as our reader', () => expect(few(soaked.disagreements)).toEqual([]));
  it('commits every offset, and takes fresh records once the faults stop', () => expect(soaked.stuck).toEqual([]));
  it('ends no worker that nobody ended, and drains with exit code 0, or 6 past the deadline', () =>
    expect(soaked.complaints).toEqual([]));
  const short = minutes >= 2 * SETTLING_MINUTES ? '' : ` (skipped: under ${2 * SETTLING_MINUTES} minutes say nothing)`;
  it.skipIf(short)(`takes no more memory as time goes by${short}`, () => {
    const settled = soaked.memory.filter((sample) => sample.minutes > SETTLING_MINUTES);
    say(
      `  memory: slope ${slopeOf(settled).toFixed(2)} MB a minute, median ${median(settled.map(({ mb }) => mb)).toFixed(0)} MB`,
    );
    expect(settled.length).toBeGreaterThan(20);
    expect(slopeOf(settled)).toBeLessThan(MEMORY_SLOPE);
  });
});
