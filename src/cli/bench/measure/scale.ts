import { say } from '../../print.js';
import { alternate, ratio } from '../alternate.js';
import { startBare } from '../bare.js';
import { sortedBatches } from '../batches.js';
import { type BurstSide, startBurstSide } from '../burst.js';
import { fromSamples, type Measured } from '../figure.js';
import { brief, type Lab, threadsOfOne } from '../lab.js';
import { TEXT_ONLY, textValues } from '../values.js';

/** `scale_2_over_1`: two workers of a group ÷ one, each with a model that waits as long as the real one computes here. */
export async function scale(whole: Lab): Promise<Measured> {
  const lab = brief(whole);
  const msPerToken = await timeOfToken(lab);
  say(`  a padded token takes ${(msPerToken * 1000).toFixed(0)} µs`);
  const side = (name: string, workers: number) =>
    startBurstSide(lab, {
      name,
      workers,
      program: 'host-program',
      values: textValues(lab),
      overrides: TEXT_ONLY,
      env: { BENCH_MS_PER_TOKEN: String(msPerToken) },
    });
  const started: BurstSide[] = [];
  try {
    started.push(await side('two workers', 2), await side('one worker', 1));
    const options = { tweets: lab.set.length, windows: lab.windows, seconds: lab.seconds };
    const [two = [], one = []] = await alternate(started, options);
    return ratio(two, one);
  } finally {
    for (const one of started) await one.stop();
  }
}

/** Milliseconds of the real model for each padded token, in batches of the worker's budget with its threads. */
async function timeOfToken({ config, models, set }: Lab): Promise<number> {
  const rows = set.flatMap((tweet) => tweet.rows);
  const lengths = rows.map(({ text }) => text.pieces);
  const plan = sortedBatches(lengths, config.batch_tokens);
  // Every fifth batch, so that all lengths have their share.
  const some = plan.filter((_, i) => i % 5 === 2 || plan.length < 5);
  const tokens = some.reduce(
    (sum, batch) => sum + batch.length * Math.max(...batch.map((row) => lengths[row] as number)),
    0,
  );
  const threads = threadsOfOne(config);
  const bare = await startBare({ bundle: models.ner, rows, threads, providers: config.providers });
  try {
    const times: number[] = [];
    for (let i = 0; i < 3; i++) times.push((1000 * (await bare.run(some, 1))) / tokens);
    return fromSamples(times).value;
  } finally {
    await bare.stop();
  }
}
