import type { Command } from 'commander';
import { settingsOf } from './settings.js';
import { untilSignal } from './signals.js';

/** `mner run`: the worker, until a signal or a fatal error. A second signal leaves at once; SIGHUP takes in new bundles. */
export async function run(command: Command): Promise<void> {
  const { config } = settingsOf(command);
  // Only now, so that a mistake in the configuration is told at once.
  const [{ createTelemetry }, { serve }] = await Promise.all([
    import('../telemetry/telemetry.js'),
    import('./serve.js'),
  ]);
  const telemetry = createTelemetry({ log: { level: config.log_level, format: config.log_format } });
  const note = (message: string, detail: object = {}) =>
    telemetry.emit({ type: 'note', level: 'info', message, detail });
  try {
    const told = untilSignal();
    const starting = serve(config, telemetry);
    // On a terminal it says that the terminal is gone, and ends us as it does others.
    if (!process.stdin.isTTY) process.on('SIGHUP', () => void starting.then(({ worker }) => worker.stations.reload()));
    const served = await Promise.race([starting, told]);
    // Told to stop while it was starting: nothing was begun, so there is nothing to finish.
    if (!served) return;
    const { group, input_topic: input } = config;
    note('The worker is ready.', { port: served.port, group, input, ...served.worker.stations.model() });
    try {
      await Promise.race([told, served.worker.failed]);
      note('Draining: what was begun is finished, nothing new is read.');
    } finally {
      await served.stop();
    }
    note('The worker has stopped.');
  } finally {
    telemetry.stop();
  }
}
