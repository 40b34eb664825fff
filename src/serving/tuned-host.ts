import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { availableParallelism, cpus } from 'node:os';
import type { Config } from '../config/schema.js';
import { createFeeds } from '../inference/feeds.js';
import type { InferenceHost } from '../inference/port.js';
import { BESIDE_MS, BUDGETS, chooseSpeed, measureSpeeds, type Speed, TRIAL_PIECES } from '../inference/speed.js';
import { recallTuning, rememberTuning, speedFilePath, type Tuning } from '../inference/speed-file.js';
import { encoderOf, identityOfModels, type Models } from '../models.js';
import type { Ground } from './served-model.js';
import { openTested } from './tested-host.js';

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
}

/** Of a machine that nobody has measured: more adds waiting but hardly any speed on a CPU. */
const DEFAULT_TOKENS = 1024;
/** Time for the trials at all threads, and at the other number of them, in ms; beside it the second process has to load. */
const LIMIT_MS = { first: 900, second: 500 };
/** Another number of threads has to be faster by so much: it is measured once, and the machine is not always idle. */
const MARGIN = 1.1;

/**
 * Starts the inference host, with the threads and the token budget that suit bundle and machine: as configured, else as remembered,
 * else as measured now. What was measured is remembered for the next start.
 *
 * @throws MnerError `bad_bundle`, `provider_unavailable`, `inference_unavailable`
 */
export async function openHost(models: Models, ground: Ground, wishes: HostWishes): Promise<TunedHost> {
  const { config, clock, emit } = ground;
  const open = async (threads: number): Promise<InferenceHost> => {
    const { host } = wishes;
    // One that is handed in may stand for a model, and says what it likes: it is put to no test.
    if (!host) return openTested(models, ground, threads);
    try {
      await host.start();
      return host;
    } catch (error) {
      await host.stop();
      throw error;
    }
  };
  const { batch_tokens: configured, threads } = config;
  if (configured !== null)
    return { host: await open(threads), feeding: { tokens: configured, threads, from: 'configured' } };
  // A host that is given has its threads already.
  if (wishes.host) return { host: await open(threads), feeding: { tokens: DEFAULT_TOKENS, threads, from: 'default' } };
  const [path, key] = [speedFilePath(), keyOf(models, config)];
  const known = await recallTuning(path, key);
  if (known) {
    const { tokens, threads } = known;
    const host = await open(threads);
    // What a GPU wants is far too much for the CPU that stands in for it, and the other way round too little.
    if (host.provider === known.provider) return { host, feeding: { tokens, threads, from: 'remembered' } };
    await host.stop();
  }
  if (!wishes.calibrate)
    return { host: await open(threads), feeding: { tokens: DEFAULT_TOKENS, threads, from: 'default' } };
  const found = await measure(models, ground, open);
  const kept = await rememberTuning(path, key, { ...found.feeding, provider: found.host.provider }, clock.wall());
  emit({
    type: 'note',
    level: 'info',
    message: `Measured: batches of ${found.feeding.tokens} tokens on ${found.feeding.threads} threads suit this machine.`,
    detail: { tokens_per_second: found.speeds, remembered: kept },
  });
  return { host: found.host, feeding: found.feeding };
}

/** The trials. The process that is faster stays, and becomes the host. */
async function measure(
  models: Models,
  { config, clock }: Ground,
  open: (threads: number) => Promise<InferenceHost>,
): Promise<TunedHost & { readonly speeds: Readonly<Record<string, number>> }> {
  const cores = availableParallelism();
  const [all, fewer] = config.threads > 0 ? [config.threads] : [cores, cores >> 1];
  const trial = trialOf(models, config);
  const host = await open(all as number);
  let other: InferenceHost | null = null;
  try {
    const budgets = host.provider === 'cpu' ? BUDGETS.cpu : BUDGETS.accelerator;
    const speeds = await measureSpeeds(trial(host), budgets, LIMIT_MS.first, clock);
    // Of one budget alone nothing can be said: a machine that is too slow for a second one in time takes the default.
    const best = speeds.length > 1 ? chooseSpeed(speeds) : { budget: DEFAULT_TOKENS, tokensPerSecond: 0 };
    const told = { ...toldOf(speeds, all as number) };
    const chosen: Feeding = { tokens: best.budget, threads: all as number, from: 'measured' };
    if (!fewer || host.provider !== 'cpu' || speeds.length < 2) return { host, feeding: chosen, speeds: told };
    other = await open(fewer);
    const [same] = await measureSpeeds(trial(other), [best.budget], LIMIT_MS.second, clock);
    Object.assign(told, toldOf(same ? [same] : [], fewer));
    const changes = same !== undefined && same.tokensPerSecond > MARGIN * best.tokensPerSecond;
    await (changes ? host : other).stop();
    return changes
      ? { host: other, feeding: { ...chosen, threads: fewer }, speeds: told }
      : { host, feeding: chosen, speeds: told };
  } catch (error) {
    await Promise.all([host.stop(), other?.stop()]);
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
  return (host: InferenceHost) => async (rows: number) => {
    await host.run(ner.model.name, feeds.pack(Array.from({ length: rows }, () => row)));
  };

  function piecesOf(some: readonly string[]): number {
    return encoder.encode(some).windows[0]?.pieces ?? TRIAL_PIECES;
  }
}

function toldOf(speeds: readonly Speed[], threads: number): Record<string, number> {
  return Object.fromEntries(
    speeds.map(({ budget, tokensPerSecond }) => [`${budget} tokens, ${threads} threads`, Math.round(tokensPerSecond)]),
  );
}

/** What a measurement holds for: these bundles, on this machine, opened and chosen among in this way. */
function keyOf(models: Models, { providers, threads, mentions }: Config): string {
  const { version } = createRequire(import.meta.url)('../../package.json') as { version: string };
  const machine = [cpus()[0]?.model ?? 'unknown', availableParallelism(), process.arch];
  const choice = [BUDGETS, BESIDE_MS];
  return createHash('sha256')
    .update(JSON.stringify([version, identityOfModels(models), providers, threads, mentions, machine, choice]))
    .digest('hex')
    .slice(0, 32);
}
