import type { Command } from 'commander';
import { systemClock } from '../clock.js';
import { asMnerError } from '../errors.js';
import { createTelemetry } from '../telemetry/telemetry.js';
import { createWebServer } from '../web/server.js';
import { startWorker } from '../worker.js';
import { extractWith } from './playground.js';
import { settingsOf } from './settings.js';
import { untilSignal } from './signals.js';

/** `mner run`: the worker, until a signal or a fatal error. A second signal leaves at once, as any process does. */
export async function run(command: Command): Promise<void> {
  const { config } = settingsOf(command);
  const telemetry = createTelemetry({ log: { level: config.log_level, format: config.log_format } });
  const say = (message: string, detail?: object) =>
    telemetry.emit({ type: 'note', level: 'info', message, ...(detail && { detail }) });
  let info: () => object = () => ({});
  let extract: ReturnType<typeof extractWith> | undefined;
  const web = createWebServer({
    host: config.http_host,
    port: config.http_port,
    metrics: telemetry.metrics,
    health: telemetry.health,
    info: () => info(),
    ...(config.playground && {
      extract: async (bytes, signal) =>
        extract?.(bytes, signal) ?? { ok: false, code: 'inference_unavailable', message: 'The worker is starting.' },
    }),
    clock: systemClock,
    emit: telemetry.emit,
  });
  try {
    // First, so that a probe finds an answer while the models load.
    const port = await web.start();
    const worker = await startWorker(config, telemetry);
    info = worker.info;
    extract = extractWith(worker.stations);
    say('The worker is ready.', { port, group: config.group, input: config.input_topic, ...worker.stations.model() });
    try {
      await Promise.race([untilSignal(), worker.failed]);
      say('Draining: what was begun is finished, nothing new is read.');
    } finally {
      await worker.stop();
    }
    say('The worker has stopped.');
  } catch (error) {
    telemetry.health.fail(asMnerError(error).message);
    throw error;
  } finally {
    await web.stop();
    telemetry.stop();
  }
}
