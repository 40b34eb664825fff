import { systemClock } from '../../../clock.js';
import { MnerError } from '../../../errors.js';
import { alternate, ratio, type Side } from '../alternate.js';
import { type BarePicture, openBarePicture } from '../bare-picture.js';
import { openColdPictures } from '../cold-pictures.js';
import type { Measured } from '../figure.js';
import { brief, type Lab, threadsOfOne } from '../lab.js';
import { sampleEvenly } from '../recorded.js';

/** Pictures in a pass, so that a window is a few passes. */
const PICTURES = 100;

/** `miss_over_bare`: a cold picture through the stations, less its wait for the origin ÷ decoder and encoder called bare. */
export async function missOverBare(lab: Lab): Promise<Measured> {
  const { config, models, set } = lab;
  const { vision, ner } = models;
  if (!vision) throw new MnerError('bad_input', `The bundle ${ner.manifest.name} reads no pictures.`);
  const bare = await openBarePicture(vision, { providers: config.providers, threads: threadsOfOne(config) });
  try {
    const pictures = await usable(
      sampleEvenly(set, PICTURES).map(({ picture }) => picture),
      bare,
    );
    const cold = await openColdPictures(lab, pictures);
    try {
      const sides = [cold, bareSide(bare, pictures)];
      const [misses = [], calls = []] = await alternate(sides, {
        ...lab,
        seconds: brief(lab).seconds,
        tweets: pictures.length,
      });
      cold.report();
      // Time ÷ time, where the sides say pictures per second.
      return ratio(misses.map(inverse), calls.map(inverse));
    } finally {
      await cold.stop();
    }
  } finally {
    await bare.stop();
  }
}

/** @throws MnerError `internal` when there is none */
async function usable(pictures: readonly Buffer[], bare: BarePicture): Promise<Buffer[]> {
  const good: Buffer[] = [];
  for (const picture of pictures) if (await bare.understand(picture)) good.push(picture);
  if (good.length === 0) throw new MnerError('internal', 'Not one of the pictures can be used.');
  return good;
}

function bareSide(bare: BarePicture, pictures: readonly Buffer[]): Side {
  return {
    name: 'bare',
    async run(passes) {
      const start = systemClock.now();
      for (let pass = 0; pass < passes; pass++) for (const picture of pictures) await bare.understand(picture);
      return (systemClock.now() - start) / 1000;
    },
  };
}

function inverse(rate: number): number {
  return 1 / rate;
}
