import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { listBundles, loadNerBundle, type NerBundle } from '../../../inference/bundle.js';
import { say } from '../../print.js';
import { alternate, ratio } from '../alternate.js';
import { type Ceiling, findCeiling, TRIAL_SHARE } from '../ceiling.js';
import type { Measured, Skipped } from '../figure.js';
import { brief, type Lab } from '../lab.js';
import { TEST_DATA } from '../recorded.js';

/** What one may lose against the other, in per cent of F1; beyond it the figure's speed is bought too dearly. */
const MOST_LOSS = 0.3;
const CORPORA = ['twitter2015', 'twitter2017'];

/** `int8_over_fp32`: the family's two builds, each called bare in its best batches; the difference in F1 goes to stderr. */
export async function precision(lab: Lab): Promise<Measured | Skipped> {
  const { config, models, seconds, set } = lab;
  const { family } = models.ner.manifest;
  const builds = (await listBundles(config.models_dir)).filter((one) => one.kind === 'ner' && one.family === family);
  const [int8, fp32] = ['int8', 'fp32'].map((name) => builds.find((one) => one.precision === name));
  if (!int8 || !fp32) {
    const missing = int8 ? 'fp32' : 'int8';
    return {
      skipped: `${config.models_dir} holds no ${missing} build of ${family}; models/training/README.md says how to make one`,
    };
  }
  const rows = set.flatMap((tweet) => tweet.rows);
  const started: Ceiling[] = [];
  const start = async (bundle: NerBundle, name: string) => {
    const found = await findCeiling({ config, bundle, rows, trialSeconds: seconds * TRIAL_SHARE });
    started.push({ ...found, name });
  };
  try {
    await start(await loadNerBundle(config.models_dir, int8.name), 'int8');
    await start(await loadNerBundle(config.models_dir, fp32.name), 'fp32');
    const options = { tweets: set.length, windows: lab.windows, seconds: brief(lab).seconds };
    const [small = [], whole = []] = await alternate(started, options);
    await compareF1(lab, int8.name, fp32.name);
    return ratio(small, whole);
  } finally {
    for (const one of started) await one.stop();
  }
}

/** Says what int8 costs in F1, lenient and without pictures, on the validation splits of the test data. */
async function compareF1({ config }: Lab, int8: string, fp32: string): Promise<void> {
  for (const corpus of CORPORA) {
    const file = join(TEST_DATA, corpus, 'valid.txt');
    if (!existsSync(file)) {
      say(`  F1 is not compared on ${corpus}: there is no ${file}`);
      continue;
    }
    const [small, whole] = [await f1Of(config.models_dir, int8, file), await f1Of(config.models_dir, fp32, file)];
    const loss = whole - small;
    const verdict = loss <= MOST_LOSS ? 'ok' : `short: at most ${MOST_LOSS} is allowed`;
    say(`  F1 on ${corpus}: int8 ${small.toFixed(2)}, fp32 ${whole.toFixed(2)}, lost ${loss.toFixed(2)} (${verdict})`);
  }
}

async function f1Of(models: string, bundle: string, file: string): Promise<number> {
  const main = fileURLToPath(new URL('../../main.js', import.meta.url));
  const args = ['evaluate', '--data', file, '--no-image', '--json', '--models-dir', models, '--bundle', bundle];
  const { stdout } = await promisify(execFile)(process.execPath, [main, ...args]);
  return (JSON.parse(stdout) as { lenient: { micro: { f1: number } } }).lenient.micro.f1;
}
