import { MnerError } from '../../../errors.js';
import { alternate, WARM_UPS } from '../alternate.js';
import { startBurstSide } from '../burst.js';
import { fromSamples, type Measured } from '../figure.js';
import type { Lab } from '../lab.js';
import { readMetric } from '../metrics.js';
import type { Program } from '../program.js';
import { TEXT_ONLY, textValues } from '../values.js';

/** Node samples the loop with a timer of this period, and counts the period into every value. */
const PERIOD_MS = 10;

/** `event_loop_p99_ms`: from the worker's own /metrics, which begins anew with every read. */
export async function eventLoop(lab: Lab): Promise<Measured> {
  const worker = await startBurstSide(lab, { name: 'mner run', values: textValues(lab), overrides: TEXT_ONLY });
  const [program] = worker.programs;
  const samples: number[] = [];
  try {
    const watched = {
      name: worker.name,
      async run(passes: number) {
        await lagOf(program);
        const seconds = await worker.run(passes);
        samples.push(await lagOf(program));
        return seconds;
      },
    };
    await alternate([watched], { ...lab, tweets: lab.set.length });
    // Those before are of the passes that warm up.
    return fromSamples(samples.slice(WARM_UPS));
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
