import type { Clock } from '../clock.js';
import type { Config } from '../config/schema.js';
import { createImages, type Images, type ImagesOptions } from '../image/look.js';
import type { Cache, Origin } from '../image/port.js';
import { identityOf } from '../inference/bundle.js';
import { createNerModel } from '../inference/model.js';
import { encoderOf, identityOfModels, type Models, readsWords, visionShape } from '../models.js';
import type { EntityRecord } from '../ner/record.js';
import type { Emit } from '../telemetry/events.js';
import { createReader, type Reader } from '../text/reader.js';
import type { Repeats } from '../text/repeats.js';
import { createSight, type Sight } from './sight.js';
import { type Feeding, type HostWishes, openHost, type TunedHost } from './tuned-host.js';

/** A bundle at work: warm, in inference processes of its own, with the vision encoder that it goes with. */
export interface ServedModel {
  readonly models: Models;
  /** What differs when anything of its bundles does. */
  readonly identity: string;
  readonly images: Images;
  readonly reader: Reader;
  readonly sight: Sight;
  /** What its outputs say of it. */
  readonly model: () => EntityRecord['model'];
  readonly feeding: Feeding;
  /** Ends its processes. Safe to call twice. */
  stop(): Promise<void>;
}

/** What all models of a worker share. */
export interface Ground {
  readonly config: Config;
  readonly cache: Cache;
  readonly origin: Origin;
  /** Null where nothing is remembered. */
  readonly repeats: Repeats | null;
  readonly clock: Clock;
  readonly emit: Emit;
  /** Whether a tweet may name a picture of this machine by `file:`. */
  readonly allowFiles: boolean;
  /** Whether the words in pictures are read for every model, where `ocr` is `on`. */
  readonly anyWords: boolean;
}

/**
 * Starts a model's processes, puts its bundles to their self-tests, and runs it once.
 *
 * @param wishes a host in place of processes of its own; whether it may be measured first
 * @throws MnerError `bad_bundle`, `provider_unavailable`, `inference_unavailable`, `inference_poison` when the model does not run
 */
export async function serveModel(models: Models, ground: Ground, wishes: HostWishes): Promise<ServedModel> {
  const emit = splitByBundle(ground.emit, models.ner.manifest.name);
  const tuned = await openHost(models, { ...ground, emit }, wishes);
  try {
    return await assemble(models, { ...ground, emit }, tuned);
  } catch (error) {
    await tuned.host.stop();
    throw error;
  }
}

async function assemble(models: Models, ground: Ground, { host, feeding }: TunedHost): Promise<ServedModel> {
  const { config, cache, origin, repeats, clock, emit } = ground;
  const { ner, vision } = models;
  const options = imageOptions(ground, models);
  const images = vision
    ? createImages({ origin, cache, host, bundle: visionShape(vision), clock, emit, options })
    : unseeing(emit);
  const sight = createSight(models);
  const encoder = encoderOf(ner);
  const nerModel = createNerModel({
    host,
    bundle: ner,
    mentions: config.mentions,
    clock,
    emit,
    tokenBudget: feeding.tokens,
    deadlineMs: config.batch_deadline_ms,
    patienceMs: config.replay_patience_ms,
  });
  const { name: bundle, family, version } = ner.manifest;
  const head = { labels: ner.manifest.labels, ...ner.manifest.heads[config.mentions] };
  const eachTime = createReader({ encoder, model: nerModel, head, clock, emit });
  const answers = `${identityOf(ner)}/${config.mentions}`;
  const stop = async () => {
    await Promise.all([images.stop(), nerModel.stop()]);
    await host.stop();
  };
  try {
    for (const window of encoder.encode(['warm', 'up']).windows) await nerModel.warmUp(window);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    models,
    identity: identityOfModels(models),
    images,
    sight,
    reader: repeats?.around(eachTime, () => `${answers}/${host.provider}`) ?? eachTime,
    model: () => ({ family, bundle, version, provider: host.provider }),
    feeding,
    stop,
  };
}

/** For a model that reads no picture: none is fetched, and a tweet that has one says that it was skipped. */
function unseeing(emit: Emit): Images {
  return {
    async look(photo) {
      if (!photo) return { status: 'none', cache: null };
      emit({ type: 'image', status: 'skipped' });
      return { status: 'skipped', cache: null, detail: 'the bundle reads nothing of pictures' };
    },
    bytes: async () => null,
    stop: async () => {},
  };
}

function imageOptions({ config, allowFiles, anyWords }: Ground, { ner }: Models): ImagesOptions {
  const words = (anyWords && config.ocr === 'on') || readsWords(ner, config);
  return {
    budgetMs: config.image_budget_ms,
    maxBytes: config.image_max_bytes,
    overload: config.image_overload,
    maxWaiting: config.image_waiting,
    lifetimes: { used: config.cache_ttl_seconds },
    allowFiles,
    ...(words && { words: { timeoutMs: config.image_ocr_timeout_ms } }),
  };
}

/** Says of what a model does which bundle does it. */
function splitByBundle(emit: Emit, bundle: string): Emit {
  return (event) => {
    if (event.type === 'queued') return emit({ ...event, bundle });
    emit(event);
    if (event.type === 'stage' && event.stage === 'inference') {
      emit({ type: 'bundle_inference', bundle, seconds: event.seconds });
    }
  };
}
