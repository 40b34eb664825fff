import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { availableParallelism, cpus } from 'node:os';
import type { Config } from '../config/schema.js';
import { asMnerError } from '../errors.js';
import { createFeeds } from '../inference/feeds.js';
import type { InferenceHost } from '../inference/port.js';
import { BESIDE_MS, BUDGETS, chooseSpeed, measureSpeeds, TRIAL_PIECES } from '../inference/speed.js';
import { recallTuning, rememberTuning, speedFilePath, type Tuning } from '../inference/speed-file.js';
import { encoderOf, identityOfModels, type Models } from '../models.js';
import { type Division, divide, openPool, type Pool } from './open-pool.js';
import type { Ground } from './served-model.js';

/** How a model is fed, and how that was found. */
export interface Feeding extends Tuning {
  /** `default`: neither configured nor remembered, and not measured, since the command is short or the machine has other work. */
  readonly from: 'configured' | 'measured' | 'remembered' | 'default';
}

/** An inference host that has started. */
export interface TunedHost {
  readonly host: InferenceHost;
  readonly feeding: Feeding;
}

export interface HostWishes {
  /** In place of a process of its own. */
  readonly host?: InferenceHost | undefined;
  /** Whether what is not known may be measured; nothing else should run meanwhile. */
  readonly calibrate: boolean;
  /** What is taken unmeasured: several processes, as a worker wants them, or one, which starts sooner. @default one */
  readonly several?: boolean | undefined;
}

/** Of a machine that nobody has measured: more adds waiting but hardly any speed on a CPU. */
const DEFAULT_TOKENS = 1024;
/** Time for the trials of each division of the threads, in ms; beside the second its processes have to load. */
const LIMIT_MS = 900;
/** Several processes must be faster than one by so much: they take memory, and the machine is not always idle. */
const MARGIN = 1.1;
/** No more processes than this are taken unasked: each holds the model. */
const MOST_PROCESSES = 8;

/**
 * Starts the inference host, with the processes, the threads and the token budget that suit bundle and machine: as configured, else as
 * remembered, else as measured now. What was measured is remembered for the next start.
 *
 * @throws MnerError `bad_bundle`, `provider_unavailable`, `inference_unavailable`
 */
export async function openHost(models: Models, ground: Ground, wishes: HostWishes): Promise<TunedHost> {
  const { config, clock, emit } = ground;
  const [one, many] = divisionsOf(config);
  const unmeasured = (wishes.several && many) || one;
  const tokens = config.batch_tokens ?? DEFAULT_TOKENS;
  const otherwise = config.batch_tokens === null ? 'default' : 'configured';
  // One that is given may stand for a model, and says what it likes: it is put to no test, and has its threads already.
  if (wishes.host)
    return {
      host: await startGiven(wishes.host),
      feeding: { tokens, processes: 1, threads: config.threads, from: otherwise },
    };
  /** Several where they can be had: each holds the model, for which there may be no room. */
  const open = async (division: Division): Promise<Pool> => {
    try {
      return await openPool(models, ground, division);
    } catch (error) {
      if (division.processes === 1 || asMnerError(error).code !== 'inference_unavailable') throw error;
      const message = `${toldDivision(division)} cannot be started; one is tried instead.`;
      emit({ type: 'note', level: 'warn', message, detail: { reason: asMnerError(error).message } });
      return openPool(models, ground, divide(config.threads, 1));
    }
  };
  const fed = ({ host, division }: Pool, budget: number, from: Feeding['from']): TunedHost => ({
    host,
    feeding: { tokens: budget, ...division, from },
  });
  if (config.batch_tokens !== null && !many) return fed(await open(one), tokens, 'configured');
  const [path, key] = [speedFilePath(), keyOf(models, config)];
  const known = await recallTuning(path, key);
  if (known) {
    const pool = await open(known);
    // What a GPU wants is far too much for the CPU that stands in for it, and the other way round too little.
    if (pool.host.provider === known.provider) return fed(pool, known.tokens, 'remembered');
    await pool.host.stop();
  }
  if (!wishes.calibrate) return fed(await open(unmeasured), tokens, otherwise);
  const { pool, budget, speeds } = await measure(models, ground, open);
  const { provider } = pool.host;
  const kept = await rememberTuning(path, key, { tokens: budget, ...pool.division, provider }, clock.wall());
  emit({
    type: 'note',
    level: 'info',
    message: `Measured: batches of ${budget} tokens suit this machine, on ${toldDivision(pool.division)}.`,
    detail: { tokens_per_second: speeds, remembered: kept },
  });
  return fed(pool, budget, 'measured');
}

/** One process with all threads; and, where that may be better, as many processes as there are threads. */
function divisionsOf({ threads, inference_processes: wanted, providers }: Config): [Division, Division?] {
  if (wanted !== null) return [divide(threads, wanted)];
  // An accelerator is one, and operators that it lacks have all threads.
  const most = providers[0] === 'cpu' ? Math.min(threads, MOST_PROCESSES) : 1;
  return most > 1 ? [divide(threads, 1), divide(threads, most)] : [divide(threads, 1)];
}

/** The trials. What is faster stays, and becomes the host. */
async function measure(
  models: Models,
  { config, clock }: Ground,
  open: (division: Division) => Promise<Pool>,
): Promise<{ readonly pool: Pool; readonly budget: number; readonly speeds: Readonly<Record<string, number>> }> {
  const [one, many] = divisionsOf(config);
  const trial = trialOf(models, config);
  const opened: Pool[] = [];
  const told: Record<string, number> = {};
  const tryOut = async (division: Division) => {
    const pool = await open(division);
    opened.push(pool);
    const { processes } = pool.division;
    const budgets = config.batch_tokens ? [config.batch_tokens] : budgetsOn(pool.host.provider);
    const speeds = await measureSpeeds(trial(pool), budgets, LIMIT_MS, processes, clock);
    for (const { budget, tokensPerSecond } of speeds)
      told[`${budget} tokens, ${toldDivision(pool.division)}`] = Math.round(tokensPerSecond);
    // Of one budget of several nothing can be said: a machine that is too slow for a second one in time takes the default.
    const enough = speeds.length > 1 || budgets.length === 1;
    const best = enough ? chooseSpeed(speeds, processes) : { budget: DEFAULT_TOKENS, tokensPerSecond: 0 };
    return { pool, enough, ...best };
  };
  try {
    const alone = await tryOut(one);
    if (!many || !alone.enough || alone.pool.host.provider !== 'cpu') return { ...alone, speeds: told };
    const together = await tryOut(many);
    const [kept, other] =
      together.tokensPerSecond > MARGIN * alone.tokensPerSecond ? [together, alone] : [alone, together];
    await other.pool.host.stop();
    return { ...kept, speeds: told };
  } catch (error) {
    await Promise.all(opened.map(({ host }) => host.stop()));
    throw error;
  }
}

async function startGiven(host: InferenceHost): Promise<InferenceHost> {
  try {
    await host.start();
    return host;
  } catch (error) {
    await host.stop();
    throw error;
  }
}

/** Runs ordinary rows without pictures, so many in one call. */
function trialOf({ ner }: Models, { mentions }: Config) {
  const encoder = encoderOf(ner);
  const words = ['a'];
  while (piecesOf(words) < TRIAL_PIECES) words.push('a');
  const [text] = encoder.encode(words).windows;
  const feeds = createFeeds(ner.manifest, ner.manifest.heads[mentions].index);
  const row = { text: text as NonNullable<typeof text>, picture: null };
  return ({ host, division }: Pool) =>
    async (rows: number) => {
      const batch = feeds.pack(Array.from({ length: rows }, () => row));
      await Promise.all(Array.from({ length: division.processes }, () => host.run(ner.model.name, batch)));
    };

  function piecesOf(some: readonly string[]): number {
    return encoder.encode(some).windows[0]?.pieces ?? TRIAL_PIECES;
  }
}

function budgetsOn(provider: string): readonly number[] {
  return provider === 'cpu' ? BUDGETS.cpu : BUDGETS.accelerator;
}

function toldDivision({ processes, threads }: Division): string {
  const each = threads === 1 ? 'one thread' : `${threads} threads`;
  return processes === 1 ? `one process of ${each}` : `${processes} processes of ${each}`;
}

/** What a measurement holds for: these bundles, on this machine, opened and chosen among in this way. */
function keyOf(models: Models, config: Config): string {
  const { providers, threads, mentions, batch_tokens, inference_processes } = config;
  const { version } = createRequire(import.meta.url)('../../package.json') as { version: string };
  const machine = [cpus()[0]?.model ?? 'unknown', availableParallelism(), process.arch];
  const choice = [BUDGETS, BESIDE_MS, MOST_PROCESSES];
  const wanted = [providers, threads, mentions, batch_tokens, inference_processes];
  return createHash('sha256')
    .update(JSON.stringify([version, identityOfModels(models), wanted, machine, choice]))
    .digest('hex')
    .slice(0, 32);
}
