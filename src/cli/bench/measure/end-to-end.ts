import type { Row } from '../../../inference/row.js';
import { alternate, ratio } from '../alternate.js';
import { type BurstOptions, startBurstSide } from '../burst.js';
import { findCeiling } from '../ceiling.js';
import type { Measured } from '../figure.js';
import type { Lab } from '../lab.js';
import { hotPictures } from '../pictures.js';
import { TEXT_ONLY, textValues } from '../values.js';

/** A trial lasts this share of a window. */
const TRIAL_SHARE = 0.1;

/** `e2e_text_over_ceiling` */
export function text(lab: Lab): Promise<Measured> {
  const rows = lab.set.flatMap((tweet) => tweet.rows);
  return overCeiling(lab, rows, { name: 'mner run', values: textValues(lab), overrides: TEXT_ONLY });
}

/** `e2e_hot_image_over_ceiling` */
export async function hotImage(lab: Lab): Promise<Measured> {
  const pictures = await hotPictures(lab);
  try {
    const { rows, values, overrides } = pictures;
    return await overCeiling(lab, rows, { name: 'mner run', values, overrides });
  } finally {
    await pictures.stop();
  }
}

/** The worker between two topics ÷ the ceiling, with the same tweets. Each idles while the other works. */
async function overCeiling(lab: Lab, rows: readonly Row[], options: BurstOptions): Promise<Measured> {
  const { config, models, windows, seconds, set } = lab;
  // The trials come first, so that they too have the machine to themselves.
  const ceiling = await findCeiling({ config, bundle: models.ner, rows, trialSeconds: seconds * TRIAL_SHARE });
  try {
    const worker = await startBurstSide(lab, options);
    try {
      const [end = [], top = []] = await alternate([worker, ceiling], { tweets: set.length, windows, seconds });
      return ratio(end, top);
    } finally {
      await worker.stop();
    }
  } finally {
    await ceiling.stop();
  }
}
