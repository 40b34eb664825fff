import { availableParallelism, loadavg } from 'node:os';
import { cacheOf, originOf } from './adapters.js';
import { type Clock, systemClock } from './clock.js';
import type { Config } from './config/schema.js';
import type { Images } from './image/look.js';
import type { Cache, Origin } from './image/port.js';
import { createDoor } from './inference/door.js';
import type { InferenceHost } from './inference/port.js';
import { inputsOf, isLow, retryOf } from './inputs.js';
import { identityOfModels, loadCanary, loadModels, type Models } from './models.js';
import type { EntityRecord } from './ner/record.js';
import { createPipeline } from './pipeline.js';
import { createInUse } from './serving/in-use.js';
import { createReloader, type Reloaded } from './serving/reload.js';
import { createRoster, type Role, type Roster } from './serving/roster.js';
import { type Ground, type ServedModel, serveModel } from './serving/served-model.js';
import { createSickPictures } from './serving/sick-pictures.js';
import type { Sight } from './serving/sight.js';
import type { Feeding, HostWishes } from './serving/tuned-host.js';
import type { Process } from './stream/outcome.js';
import type { Broker } from './stream/port.js';
import type { Emit } from './telemetry/events.js';
import type { Telemetry } from './telemetry/telemetry.js';
import type { Reader } from './text/reader.js';
import { createRepeats } from './text/repeats.js';

/** Adapters in place of the real ones, for commands without a broker and for tests. */
export interface Adapters {
  readonly broker?: Broker;
  readonly cache?: Cache;
  readonly origin?: Origin;
  /** Of the first model; one that is loaded later has a process of its own. */
  readonly host?: InferenceHost;
  readonly clock?: Clock;
  /** Whether a model that this machine does not know may be measured first, about two seconds. @default false */
  readonly calibrate?: boolean;
  /** Whether a tweet may name a picture of this machine by `file:`. @default false */
  readonly allowFiles?: boolean;
  /** Whether the words in pictures are read for every model, where `ocr` is `on`. @default only for those that ask */
  readonly anyWords?: boolean;
  /** Whether records say why, for people who ask. @default false */
  readonly explain?: boolean;
}

/** The stations of the pipeline, warm, without a stream before or after them. What they say of a model is true until the next reload. */
export interface Stations {
  readonly process: Process;
  readonly images: Images;
  readonly reader: Reader;
  readonly sight: Sight;
  readonly models: Models;
  readonly model: () => EntityRecord['model'];
  readonly feeding: () => Feeding;
  /** Null without a canary. */
  readonly canary: () => EntityRecord['model'] | null;
  /** Takes in what has changed in the folder of bundles. Never throws. */
  reload(): Promise<Reloaded>;
  stop(): Promise<void>;
}

/**
 * Opens the cache, the origin and the models, and puts the stations together.
 *
 * @throws MnerError `bad_bundle`, `provider_unavailable`, `cache_unreachable`
 */
export async function openStations(config: Config, telemetry: Telemetry, adapters: Adapters = {}): Promise<Stations> {
  /** Looks again at which bundles are in use; nothing is before the stations are there. */
  let tellInUse = () => {};
  const emit: Emit = (event) => {
    telemetry.emit(event);
    if (event.type === 'inference_ready') tellInUse();
  };
  const clock = adapters.clock ?? systemClock;
  const wanted = await loadModels(config);
  const tried = await loadCanary(config, wanted);
  const cache = adapters.cache ?? cacheOf(config, emit);
  const origin = adapters.origin ?? originOf(config, emit);
  const { repeat_cache_bytes: maxBytes } = config;
  const repeats = maxBytes === 0 ? null : createRepeats({ maxBytes, emit });
  const { allowFiles = false, anyWords = false } = adapters;
  // A trial beside a second model, or whatever else the machine is busy with, would measure that too.
  const busy = (loadavg()[0] as number) > availableParallelism();
  const works = adapters.calibrate === true;
  const calibrate = works && tried === null && !busy;
  const ground = { config, cache, origin, repeats, clock, emit, allowFiles, anyWords };
  const voiceOf = createSickPictures(emit);
  const serve: Serve = async (models, wishes = { calibrate: false }) => {
    const voice = voiceOf();
    const served = await serveModel(models, { ...ground, emit: voice.emit }, { several: works, ...wishes });
    return { ...served, stop: () => served.stop().finally(voice.end) };
  };
  const serving = [serve(wanted, { host: adapters.host, calibrate })];
  if (tried) serving.push(serve(tried));
  const opening = await Promise.allSettled([cache.connect(), ...serving]);
  const failed = opening.find((one) => one.status === 'rejected');
  const opened = (await Promise.allSettled(serving)).flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const [stable, canary = null] = opened;
  if (failed || !stable) {
    await Promise.all(opened.map((model) => model.stop()));
    await Promise.all([origin.stop(), cache.stop()]);
    throw failed?.reason;
  }
  const roster = createRoster(stable, canary, config.canary_share);
  tellInUse = createInUse(roster, config.providers, emit);
  tellInUse();
  return stationsOf(ground, roster, { serve, tookOver: tellInUse, explain: adapters.explain });
}

type Serve = (models: Models, wishes?: HostWishes) => Promise<ServedModel>;

interface StationsParts {
  readonly serve: Serve;
  /** Another model works from now on. */
  readonly tookOver: () => void;
  readonly explain: boolean | undefined;
}

function stationsOf(ground: Ground, roster: Roster<ServedModel>, parts: StationsParts): Stations {
  const { serve, tookOver, explain } = parts;
  const { config, cache, origin, clock, emit } = ground;
  const load = async (role: Role) => {
    const stable = await loadModels(config);
    const models = role === 'stable' ? stable : ((await loadCanary(config, stable)) as Models);
    return { identity: identityOfModels(models), open: () => serve(models) };
  };
  const reloader = createReloader({ roster, load, tookOver, emit });
  return {
    process: createPipeline({
      roster,
      mentions: config.mentions,
      door: createDoor({ capacity: WAITING_UNITS, patienceMs: config.replay_patience_ms, clock }),
      priorityOf: (topic) => (isLow(config, topic) ? 'replay' : 'live'),
      retry: retryOf(config),
      putsOff: (topic) => config.image_missing === 'retry' && inputsOf(config).includes(topic),
      eachMention: config.mentions_topic !== null,
      explain,
      clock,
      emit,
    }),
    get images() {
      return roster.stable.images;
    },
    get reader() {
      return roster.stable.reader;
    },
    get sight() {
      return roster.stable.sight;
    },
    get models() {
      return roster.stable.models;
    },
    model: () => roster.stable.model(),
    feeding: () => roster.stable.feeding,
    canary: () => roster.canary?.model() ?? null,
    reload: () => reloader.reload(),
    async stop() {
      await reloader.stop();
      await Promise.all([roster.stable.stop(), roster.canary?.stop()]);
      await Promise.all([origin.stop(), cache.stop()]);
    },
  };
}

/**
 * Texts that wait for the model at once, in UTF-16 units: twice what all live records in process hold when each is a tweet of 280
 * characters, and 70 MB of rows in the worst case.
 */
const WAITING_UNITS = 512 * 1024;
