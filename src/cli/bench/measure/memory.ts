import { setInterval } from 'node:timers';
import { systemClock } from '../../../clock.js';
import { progress, say } from '../../print.js';
import { startBurstSide } from '../burst.js';
import type { Measured, Skipped } from '../figure.js';
import type { Lab } from '../lab.js';
import { processTree } from '../process-tree.js';
import { TEXT_ONLY, textValues } from '../values.js';

/** Ahead of the time that counts, as a share of it: heaps and caches fill. */
const WARM_SHARE = 0.1;
const SAMPLES = 300;
const MIB = 2 ** 20;

interface Sample {
  /** Since the start of what counts. */
  readonly minutes: number;
  readonly mb: number;
}

/** `rss_slope_mb_per_min`: a line through the memory of a saturated worker with all its processes. */
export async function memorySlope(lab: Lab): Promise<Measured | Skipped> {
  if (process.platform !== 'linux') return { skipped: 'memory by process is read from /proc (Linux)' };
  const worker = await startBurstSide(lab, { name: 'mner run', values: textValues(lab), overrides: TEXT_ONLY });
  const [{ pid }] = worker.programs;
  const bar = progress();
  const work = async (minutes: number) => {
    const end = systemClock.now() + minutes * 60_000;
    while (systemClock.now() < end) await worker.run(1);
  };
  try {
    await work(lab.minutes * WARM_SHARE);
    const samples: Sample[] = [];
    const start = systemClock.now();
    const take = () => {
      const minutes = (systemClock.now() - start) / 60_000;
      const mb = processTree(pid).reduce((sum, { rss }) => sum + rss, 0) / MIB;
      samples.push({ minutes, mb });
      bar.update(`  ${minutes.toFixed(1)} of ${lab.minutes} min: ${mb.toFixed(0)} MiB`);
    };
    const timer = setInterval(take, (lab.minutes * 60_000) / SAMPLES);
    try {
      take();
      await work(lab.minutes);
      take();
    } finally {
      clearInterval(timer);
      bar.done();
    }
    const tenths = means(samples, lab.minutes);
    say(`  memory in each tenth of the time: ${tenths.map((mb) => mb.toFixed(0)).join(', ')} MiB`);
    const steps = tenths.slice(1).map((mb, i) => (mb - (tenths[i] as number)) / (lab.minutes / tenths.length));
    return { value: slope(samples), samples: steps };
  } finally {
    await worker.stop();
  }
}

/** Least squares: MiB per minute. */
export function slope(samples: readonly Sample[]): number {
  const mean = (of: (one: Sample) => number) => samples.reduce((sum, one) => sum + of(one), 0) / samples.length;
  const x = mean(({ minutes }) => minutes);
  const y = mean(({ mb }) => mb);
  const spread = mean(({ minutes }) => (minutes - x) ** 2);
  return spread === 0 ? 0 : mean(({ minutes, mb }) => (minutes - x) * (mb - y)) / spread;
}

/** Mean of each tenth of the time. */
function means(samples: readonly Sample[], minutes: number): number[] {
  const parts = Array.from({ length: 10 }, (_, i) =>
    samples.filter((one) => Math.min(9, Math.floor((one.minutes / minutes) * 10)) === i).map(({ mb }) => mb),
  );
  return parts.filter((part) => part.length > 0).map((part) => part.reduce((sum, mb) => sum + mb, 0) / part.length);
}
