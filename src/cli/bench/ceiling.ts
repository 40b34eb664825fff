import type { NerBundle } from '../../inference/bundle.js';
import type { Row } from '../../inference/row.js';
import { say } from '../print.js';
import type { Side } from './alternate.js';
import { type BareModel, startBare } from './bare.js';
import { type Plan, sortedBatches } from './batches.js';
import { type LabConfig, threadsOfOne } from './lab.js';

/** Token budgets that are tried, beside the worker's own. */
const BUDGETS = [256, 512, 1024, 2048];
/** Numbers of threads that are tried, beside the worker's own. */
const THREADS = [1, 2];
const ROUNDS = 2;
/** Of the first round's trials, those that come this close to the best go into the next. */
const CLOSE = 0.9;
/** A trial lasts this share of a window. */
export const TRIAL_SHARE = 0.08;

/** The ceiling: what the model itself can do on this machine, and how it does it best. */
export interface Ceiling extends Side {
  stop(): Promise<void>;
}

export interface CeilingOptions {
  readonly config: LabConfig;
  readonly bundle: NerBundle;
  readonly rows: readonly Row[];
  /** Seconds that one trial may take, about. */
  readonly trialSeconds: number;
}

interface Trial {
  readonly threads: number;
  readonly budget: number;
  readonly plan: Plan;
  /** Rows per second, the best of the rounds. */
  best: number;
}

/** Finds the best threads and token budget in short trials; the processes of the others end. */
export async function findCeiling({ config, bundle, rows, trialSeconds }: CeilingOptions): Promise<Ceiling> {
  const lengths = rows.map(({ text }) => text.pieces);
  const models = new Map<number, BareModel>();
  const stopAll = async () => {
    for (const model of models.values()) await model.stop();
  };
  try {
    for (const threads of numbers(THREADS, threadsOfOne(config))) {
      models.set(threads, await startBare({ bundle, rows, threads, providers: config.providers }));
    }
    const trials = [...models.keys()].flatMap((threads) =>
      numbers(BUDGETS, config.batch_tokens).map(
        (budget): Trial => ({ threads, budget, plan: sortedBatches(lengths, budget), best: 0 }),
      ),
    );
    for (let round = 0; round < ROUNDS; round++) {
      const top = Math.max(...trials.map(({ best }) => best));
      for (const trial of trials.filter(({ best }) => best >= CLOSE * top)) {
        const model = models.get(trial.threads) as BareModel;
        trial.best = Math.max(trial.best, await tryOut(model, trial.plan, trialSeconds));
      }
    }
    trials.sort((a, b) => b.best - a.best);
    const [best] = trials as [Trial, ...Trial[]];
    for (const { threads, budget, best: rate } of trials) {
      say(`  trial: ${threads} threads, ${budget} tokens: ${rate.toFixed(0)} rows/s`);
    }
    const bare = models.get(best.threads) as BareModel;
    for (const [threads, model] of models) if (threads !== best.threads) await model.stop();
    const { name, version } = bundle.manifest;
    say(`  the ceiling: ${name} ${version}, ${best.threads} threads, ${best.budget} tokens a batch, sorted by length`);
    return { name: 'ceiling', run: (passes) => bare.run(best.plan, passes), stop: bare.stop };
  } catch (error) {
    await stopAll();
    throw error;
  }
}

/** Rows per second over batches that are taken evenly from all lengths, about as many as fit the time. */
async function tryOut(model: BareModel, plan: Plan, seconds: number): Promise<number> {
  const one = plan.slice(plan.length >> 1, (plan.length >> 1) + 1);
  const perBatch = Math.max(1e-6, await model.run(one, 1));
  const step = Math.max(1, Math.round((plan.length * perBatch) / seconds));
  // The offset keeps the shortest batches from being taken for the sample.
  const some = plan.filter((_, i) => i % step === step >> 1);
  const batches = some.length > 0 ? some : one;
  const count = batches.reduce((sum, batch) => sum + batch.length, 0);
  return count / (await model.run(batches, 1));
}

function numbers(usual: readonly number[], own: number): number[] {
  return [...new Set([...usual, own])].sort((a, b) => a - b);
}
