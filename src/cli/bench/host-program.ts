/**
 * The worker with a model that costs nothing: what is left is the host's own work. With `BENCH_MS_PER_TOKEN` its answers take their
 * time all the same, without CPU. Started by `program.ts`.
 */
import { Command } from 'commander';
import { loadModels } from '../../models.js';
import { createTelemetry } from '../../telemetry/telemetry.js';
import { serve } from '../serve.js';
import { addConfigOptions, settingsOf } from '../settings.js';
import { untilSignal } from '../signals.js';
import { nullHost } from './null-host.js';
import { READY } from './program.js';
import { waitingHost } from './waiting-host.js';

const { config } = settingsOf(addConfigOptions(new Command('host')).parse());
const telemetry = createTelemetry({ log: { level: config.log_level, format: config.log_format } });
const { ner } = await loadModels(config);
const msPerToken = Number(process.env.BENCH_MS_PER_TOKEN ?? 0);
const host = msPerToken > 0 ? waitingHost(nullHost(ner.manifest), msPerToken) : nullHost(ner.manifest);
const served = await serve(config, telemetry, { host });
telemetry.emit({ type: 'note', level: 'info', message: READY, detail: { port: served.port } });
await Promise.race([untilSignal(), served.worker.failed]);
await served.stop();
telemetry.stop();
