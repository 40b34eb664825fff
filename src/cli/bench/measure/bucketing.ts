import { say } from '../../print.js';
import { alternate, ratio, type Side } from '../alternate.js';
import { startBare } from '../bare.js';
import { bucketedBatches, fifoBatches, type Plan, paddingOf } from '../batches.js';
import type { Measured } from '../figure.js';
import { brief, type Lab, threadsOfOne } from '../lab.js';

/** Tweets that wait at every moment. */
const WAITING = 512;
/** As the worker's batcher has it. */
const MAX_PADDING = 0.08;

/** `bucketed_over_fifo`: the same rows in the same order of arrival, cut into batches in two ways, called bare. */
export async function bucketing(lab: Lab): Promise<Measured> {
  const { config, models, set } = lab;
  const rows = set.flatMap((tweet) => tweet.rows);
  const lengths = rows.map(({ text }) => text.pieces);
  const budget = config.batch_tokens;
  const threads = threadsOfOne(config);
  const bare = await startBare({ bundle: models.ner, rows, threads, providers: config.providers });
  const side = (name: string, plan: Plan): Side => {
    say(`  ${name}: ${plan.length} batches, padding ${(100 * paddingOf(plan, lengths)).toFixed(1)} %`);
    return { name, run: (passes) => bare.run(plan, passes) };
  };
  try {
    const sides = [
      side('bucketed', bucketedBatches(lengths, { budget, waiting: WAITING, maxPadding: MAX_PADDING })),
      side('fifo', fifoBatches(lengths, budget)),
    ];
    const [bucketed = [], fifo = []] = await alternate(sides, {
      ...lab,
      seconds: brief(lab).seconds,
      tweets: set.length,
    });
    return ratio(bucketed, fifo);
  } finally {
    await bare.stop();
  }
}
