import type { Config } from '../config/schema.js';
import { asMnerError } from '../errors.js';
import type { Telemetry } from '../telemetry/telemetry.js';
import { createWebServer } from '../web/server.js';
import { type Adapters, startWorker, type Worker } from '../worker.js';
import { extractWith } from './playground.js';

export interface Served {
  readonly worker: Worker;
  /** Of the HTTP server. */
  readonly port: number;
  /** Drains the worker, then closes the HTTP server. @throws MnerError `drain_timed_out` */
  stop(): Promise<void>;
}

/**
 * A worker with its HTTP server. The server comes first, so that a probe finds an answer while the models load.
 *
 * @throws MnerError with the code of what is missing
 */
export async function serve(config: Config, telemetry: Telemetry, adapters: Adapters = {}): Promise<Served> {
  let worker: Worker | undefined;
  let extract: ReturnType<typeof extractWith> | undefined;
  const web = createWebServer({
    host: config.http_host,
    port: config.http_port,
    metrics: telemetry.metrics,
    health: telemetry.health,
    info: () => worker?.info() ?? {},
    reload: async () =>
      worker?.stations.reload() ?? {
        ok: false,
        error: { code: 'inference_unavailable', message: 'The worker is starting.' },
      },
    ...(config.playground && {
      extract: async (bytes, signal) =>
        extract?.(bytes, signal) ?? { ok: false, code: 'inference_unavailable', message: 'The worker is starting.' },
    }),
    emit: telemetry.emit,
  });
  try {
    const port = await web.start();
    const started = await startWorker(config, telemetry, { calibrate: true, ...adapters });
    worker = started;
    extract = extractWith(started.stations);
    return { worker, port, stop: () => started.stop().finally(web.stop) };
  } catch (error) {
    telemetry.health.fail(asMnerError(error).message);
    await web.stop();
    throw error;
  }
}
