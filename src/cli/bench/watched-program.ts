/**
 * The worker as `mner run` runs it, and beside it what the bench asks for by a signal: how long tweets waited for their batch, and
 * the share of telemetry in a CPU profile. With `BENCH_PROFILE=on` it profiles itself. Started by `program.ts`.
 */
import { Session } from 'node:inspector/promises';
import { Command } from 'commander';
import type { Event } from '../../telemetry/events.js';
import { createTelemetry } from '../../telemetry/telemetry.js';
import { printLine } from '../print.js';
import { serve } from '../serve.js';
import { addConfigOptions, settingsOf } from '../settings.js';
import { untilSignal } from '../signals.js';
import { shareOf, TELEMETRY } from './cpu-profile.js';
import { ASK, answerHead, READY } from './program.js';
import type { Watched } from './watched.js';

/** Fine enough for a share of a few per cent in a few seconds. */
const SAMPLE_MICROSECONDS = 200;

const { config } = settingsOf(addConfigOptions(new Command('watched')).parse());
const telemetry = createTelemetry({ log: { level: config.log_level, format: config.log_format } });
let waitsMs: number[] = [];
const emit = (event: Event) => {
  if (event.type === 'stage' && event.stage === 'queue') waitsMs.push(event.seconds * 1000);
  telemetry.emit(event);
};

const profiling = process.env.BENCH_PROFILE === 'on' ? new Session() : null;
if (profiling) {
  profiling.connect();
  await profiling.post('Profiler.enable');
  await profiling.post('Profiler.setSamplingInterval', { interval: SAMPLE_MICROSECONDS });
}

const served = await serve(config, { ...telemetry, emit });
await profiling?.post('Profiler.start');

let turn = 0;
process.on(ASK, () => void answer());

async function answer(): Promise<void> {
  const answered: Watched = { waitsMs: waitsMs.map(round), telemetryShare: await telemetryShare() };
  waitsMs = [];
  turn += 1;
  await printLine(`${answerHead(turn)}${JSON.stringify(answered).slice(1)}`);
}

async function telemetryShare(): Promise<number | null> {
  if (!profiling) return null;
  const { profile } = await profiling.post('Profiler.stop');
  const share = shareOf(profile, TELEMETRY);
  await profiling.post('Profiler.start');
  return share;
}

function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}

telemetry.emit({ type: 'note', level: 'info', message: READY, detail: { port: served.port } });
await Promise.race([untilSignal(), served.worker.failed]);
await served.stop();
telemetry.stop();
