import { MnerError } from '../../errors.js';
import { alternate } from './alternate.js';
import { startBurstSide } from './burst.js';
import { brief, type Lab } from './lab.js';
import { readMetric } from './metrics.js';
import { processTree } from './process-tree.js';
import type { Program } from './program.js';
import { TEXT_ONLY, textValues } from './values.js';

/** Node samples the loop with a timer of this period, and counts the period into every value. */
const PERIOD_MS = 10;

/** What a saturated worker shows of itself in each window; each list has one value a window. */
export interface Saturated {
  /** Delay of its event loop at the 99th percentile, in milliseconds. */
  readonly lagMs: readonly number[];
  /** CPU of the worker's own process ÷ that of its whole tree; null where the system does not tell. */
  readonly hostCpuShare: readonly number[] | null;
}

/** Several figures are read from one run of a `mner run` with texts, if one run of the bench asks for several of them. */
export function saturated(lab: Lab): Promise<Saturated> {
  return lab.shared('saturated', () => measure(brief(lab)));
}

async function measure(lab: Lab): Promise<Saturated> {
  const worker = await startBurstSide(lab, { name: 'mner run', values: textValues(lab), overrides: TEXT_ONLY });
  const [program] = worker.programs;
  const lagMs: number[] = [];
  const shares: number[] = [];
  const side = {
    name: worker.name,
    async run(passes: number) {
      await lagOf(program);
      const before = cpuOf(program);
      const seconds = await worker.run(passes);
      const after = cpuOf(program);
      lagMs.push(await lagOf(program));
      if (before && after) shares.push((after.host - before.host) / (after.all - before.all));
      return seconds;
    },
    warmed() {
      lagMs.length = 0;
      shares.length = 0;
    },
  };
  try {
    await alternate([side], { tweets: lab.set.length, windows: lab.windows, seconds: lab.seconds });
    return { lagMs, hostCpuShare: shares.length > 0 ? shares : null };
  } finally {
    await worker.stop();
  }
}

/** Milliseconds at the 99th percentile since the last time that somebody asked. */
async function lagOf(program: Program): Promise<number> {
  const seconds = await readMetric(program, 'nodejs_eventloop_lag_p99_seconds');
  if (seconds === null) throw new MnerError('internal', 'The worker does not say how its event loop lags.');
  return Math.max(0, seconds * 1000 - PERIOD_MS);
}

/** Seconds of CPU; null on a system that does not tell. */
function cpuOf({ pid }: Program): { host: number; all: number } | null {
  if (process.platform !== 'linux') return null;
  const tree = processTree(pid);
  return { host: tree[0].cpu, all: tree.reduce((sum, { cpu }) => sum + cpu, 0) };
}
