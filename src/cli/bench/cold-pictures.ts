import { randomUUID } from 'node:crypto';
import { systemClock } from '../../clock.js';
import { MnerError } from '../../errors.js';
import type { Event, Stage } from '../../telemetry/events.js';
import { createTelemetry } from '../../telemetry/telemetry.js';
import { openStations, type Stations } from '../../worker.js';
import { say } from '../print.js';
import type { Side } from './alternate.js';
import { median } from './figure.js';
import type { Lab } from './lab.js';
import { type NetworkWait, watchNetwork } from './network-wait.js';
import { type BenchOrigin, startOrigin } from './origin.js';
import { PATIENCE } from './pictures.js';

/** Nothing asks for these pictures again; our own limit on a host's rate would be a wait that is not the network's. */
const ONCE = { cache_ttl_seconds: 60, image_rate_per_host: 100_000 };
/** The way of a cold picture, for people. */
const STAGES: readonly Stage[] = ['cache_get', 'fetch', 'decode_image', 'image_features'];

/** The stations of pictures, to which every picture is new. */
export interface ColdPictures extends Side {
  /** Says where the time went. */
  report(): void;
  stop(): Promise<void>;
}

/**
 * Looks at the pictures one at a time, each under an address that nobody has asked for before: a question to Redis, a lease,
 * a fetch on loopback, the decoding process, the inference process. A run lasts as long as all its looks, less the time in
 * which a look waited for the answer of the origin.
 */
export async function openColdPictures(lab: Lab, pictures: readonly Buffer[]): Promise<ColdPictures> {
  const redis_url = await lab.redis();
  const served = await startOrigin(pictures);
  const telemetry = createTelemetry({ log: { level: 'warn' }, nodeMetrics: false });
  const stages = new Map<string, number[]>();
  const note = (stage: string, ms: number) => {
    const all = stages.get(stage);
    if (all) all.push(ms);
    else stages.set(stage, [ms]);
  };
  const emit = (event: Event) => {
    if (event.type === 'stage') note(event.stage, event.seconds * 1000);
    telemetry.emit(event);
  };
  const config = { ...lab.config, ...PATIENCE, ...ONCE, redis_url, image_allow: [served.origin] };
  const network = watchNetwork();
  const stop = async (stations?: Stations) => {
    network.stop();
    await stations?.stop();
    await served.stop();
    telemetry.stop();
  };
  let stations: Stations;
  try {
    stations = await openStations(config, { ...telemetry, emit });
  } catch (error) {
    await stop();
    throw error;
  }
  const look = coldLook(stations, served, network);
  return {
    name: 'miss',
    async run(passes) {
      let ms = 0;
      for (let i = 0; i < passes * pictures.length; i++) {
        // A new name each time.
        const { took, waited } = await look(`/${i % pictures.length}/${randomUUID()}.jpg`);
        note('the origin', waited);
        note('miss', took - waited);
        ms += took - waited;
      }
      return ms / 1000;
    },
    report() {
      const parts = [...STAGES, 'the origin'].map((stage) => `${stage} ${msOf(stages.get(stage))}`);
      say(`  a miss takes ${msOf(stages.get('miss'))} less its wait for the origin; ${parts.join(', ')} (medians)`);
    },
    stop: () => stop(stations),
  };
}

/** One look, with its wait. @throws MnerError `internal` when it was none of a cold picture */
function coldLook({ images }: Stations, { origin }: BenchOrigin, network: NetworkWait) {
  const { signal } = new AbortController();
  return async (path: string) => {
    network.take();
    const start = systemClock.now();
    const { status, cache } = await images.look({ url: `http://${origin}${path}` }, signal);
    const took = systemClock.now() - start;
    const { ms: waited, requests } = network.take();
    if (status !== 'used' || cache !== 'miss' || requests !== 1) {
      throw new MnerError('internal', `A look was not of a cold picture (${status}, ${cache}, ${requests} requests).`);
    }
    return { took, waited };
  };
}

function msOf(values: readonly number[] | undefined): string {
  return `${median(values ?? []).toFixed(2)} ms`;
}
