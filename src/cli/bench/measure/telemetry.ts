import { MnerError } from '../../../errors.js';
import { alternate } from '../alternate.js';
import { startBurstSide } from '../burst.js';
import { fromSamples, type Measured } from '../figure.js';
import { brief, type Lab } from '../lab.js';
import { TEXT_ONLY, textValues } from '../values.js';
import type { Watched } from '../watched.js';

/** `telemetry_share`: a saturated worker profiles itself, window by window. */
export async function telemetryShare(whole: Lab): Promise<Measured> {
  const lab = brief(whole);
  const worker = await startBurstSide(lab, {
    name: 'watched worker',
    program: 'watched-program',
    values: textValues(lab),
    overrides: TEXT_ONLY,
    env: { BENCH_PROFILE: 'on' },
  });
  const [program] = worker.programs;
  const samples: number[] = [];
  const side = {
    name: worker.name,
    async run(passes: number) {
      await program.take();
      const seconds = await worker.run(passes);
      const { telemetryShare: share } = (await program.take()) as Watched;
      if (share === null) throw new MnerError('internal', 'The worker does not profile itself.');
      samples.push(share);
      return seconds;
    },
    warmed() {
      samples.length = 0;
    },
  };
  try {
    await alternate([side], { tweets: lab.set.length, windows: lab.windows, seconds: lab.seconds });
    return fromSamples(samples);
  } finally {
    await worker.stop();
  }
}
