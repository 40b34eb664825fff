import { alternate } from '../alternate.js';
import { startBurstSide } from '../burst.js';
import { fromSamples, type Measured } from '../figure.js';
import { brief, type Lab } from '../lab.js';
import { TEXT_ONLY, textValues } from '../values.js';

/** `host_tweets_per_s`: host-program.ts between two topics. */
export async function hostAlone(whole: Lab): Promise<Measured> {
  const lab = brief(whole);
  const host = await startBurstSide(lab, {
    name: 'null model',
    program: 'host-program',
    values: textValues(lab),
    overrides: TEXT_ONLY,
  });
  try {
    const [rates = []] = await alternate([host], { ...lab, tweets: lab.set.length });
    return fromSamples(rates);
  } finally {
    await host.stop();
  }
}
