import { alternate, ratio } from '../alternate.js';
import { startBurstSide } from '../burst.js';
import { findCeiling, TRIAL_SHARE } from '../ceiling.js';
import type { Measured } from '../figure.js';
import type { Lab } from '../lab.js';
import { hotPictures } from '../pictures.js';

/** `e2e_hot_image_over_ceiling`: the worker between two topics ÷ the ceiling, which runs the fusion with the same features. */
export async function hotImage(lab: Lab): Promise<Measured> {
  const { config, models, seconds, set } = lab;
  const { rows, values, overrides, stop } = await hotPictures(lab);
  try {
    // The trials come first, so that they too have the machine to themselves.
    const ceiling = await findCeiling({ config, bundle: models.ner, rows, trialSeconds: seconds * TRIAL_SHARE });
    try {
      const worker = await startBurstSide(lab, { name: 'mner run', values, overrides });
      try {
        const [end = [], top = []] = await alternate([worker, ceiling], { ...lab, tweets: set.length });
        return ratio(end, top);
      } finally {
        await worker.stop();
      }
    } finally {
      await ceiling.stop();
    }
  } finally {
    await stop();
  }
}
