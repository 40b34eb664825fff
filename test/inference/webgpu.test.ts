import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadConfig } from '#mner/config/load.js';
import { memoryCache } from '#mner/image/cache/memory.js';
import { checkBundle, readBundleJson } from '#mner/inference/bundle.js';
import { createFeeds } from '#mner/inference/feeds.js';
import { createProcessHost } from '#mner/inference/host-process.js';
import type { NerManifest } from '#mner/inference/manifest.js';
import { openStations } from '#mner/stations.js';
import type { Event } from '#mner/telemetry/events.js';
import { createTelemetry } from '#mner/telemetry/telemetry.js';
import { createEncoder } from '#mner/text/encode.js';
import { childrenOf } from '../cli/processes.js';
import { record } from '../stream/records.js';
import { seen } from '../support/seen.js';
import { TINY } from '../support/servers.js';
import { NO_GPU, SOFTWARE_GPU } from '../support/vulkan.js';

const FOLDER = 'test/fixtures/gpu/ham-encoder';
/** Its shaders are compiled at the first run, by a GPU that is a program: seconds on an idle machine. */
const PATIENCE_MS = 240_000;
const GPU_MODELS = {
  ...TINY,
  MNER_MODELS_DIR: 'test/fixtures/gpu',
  MNER_BUNDLE: 'ham-encoder',
  MNER_REDIS_URL: 'none',
};

/** The environment of the processes that are started during a test. */
let before: Record<string, string | undefined>;
const setEnvironment = (env: Readonly<Record<string, string>>) => {
  for (const name of Object.keys(env)) if (!(name in before)) before[name] = process.env[name];
  Object.assign(process.env, env);
};
beforeEach(() => {
  before = {};
});
afterEach(() => {
  for (const [name, value] of Object.entries(before)) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
});

async function open(env: Readonly<Record<string, string>>) {
  const events: Event[] = [];
  const { config } = loadConfig({ env: { ...env, MNER_INFERENCE_TIMEOUT_MS: String(PATIENCE_MS) } });
  const telemetry = createTelemetry({ log: { level: 'silent' }, nodeMetrics: false });
  let isReady = () => {};
  const emit = (event: Event) => {
    telemetry.emit(event);
    events.push(event);
    if (event.type === 'inference_ready') isReady();
  };
  const stations = await openStations(config, { ...telemetry, emit }, { cache: memoryCache() });
  const nextReady = () =>
    new Promise<void>((resolve) => {
      isReady = resolve;
    });
  return { stations, events, nextReady, metrics: () => telemetry.metrics.render() };
}

/** Kills the one inference process that there is. */
function killHost(): void {
  const hosts = childrenOf(process.pid).filter((pid) =>
    readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('host-child'),
  );
  expect(hosts).toHaveLength(1);
  process.kill(hosts[0] as number, 'SIGKILL');
}

describe.skipIf(!SOFTWARE_GPU)(
  `a GPU by WebGPU${SOFTWARE_GPU ? '' : ' (skipped: no SwiftShader, which comes with chromium)'}`,
  () => {
    it('says what the CPU says, to 1e-4', { timeout: PATIENCE_MS }, async ({ task }) => {
      setEnvironment(SOFTWARE_GPU ?? {});
      const bundle = await checkBundle(FOLDER);
      const manifest = bundle.manifest as NerManifest;
      const encoder = createEncoder({ tokenizer: readBundleJson(bundle, 'tokenizer.json'), settings: manifest.text });
      const rows = [
        ['Anna', 'met', 'Ben', 'in', 'Oslo'],
        ['one'],
        ['@Oslo', 'said', '#KobeBryant', 'is', '8', '!'],
      ].map((words) => ({ text: encoder.encode(words).windows[0]!, picture: null }));
      const feeds = createFeeds(manifest, 0).pack(rows);
      const emissions = async (provider: 'cpu' | 'webgpu') => {
        const host = createProcessHost({
          models: [bundle.model],
          providers: [provider],
          fallback: 'refuse',
          runTimeoutMs: PATIENCE_MS,
        });
        try {
          await host.start();
          expect(host.provider).toBe(provider);
          return (await host.run(bundle.model.name, feeds)).emissions?.data as Float32Array;
        } finally {
          await host.stop();
        }
      };
      const [cpu, gpu] = [await emissions('cpu'), await emissions('webgpu')];
      expect(gpu).toHaveLength(cpu.length);
      const most = cpu.reduce((worst, value, i) => Math.max(worst, Math.abs(value - (gpu[i] as number))), 0);
      expect(most).toBeLessThan(1e-4);
      // Not the CPU by another name.
      expect(most).toBeGreaterThan(0);
      seen(task, `largest difference ${most.toExponential(1)} over ${cpu.length} emissions`);
    });

    it('runs the pipeline, and outputs and stations name it', { timeout: PATIENCE_MS }, async () => {
      setEnvironment(SOFTWARE_GPU ?? {});
      const { stations, events } = await open({ ...GPU_MODELS, MNER_PROVIDERS: 'webgpu,cpu' });
      try {
        const value = Buffer.from(JSON.stringify({ id: '1', text: 'Anna met Ben in Oslo' }));
        const outcome = await stations.process(record(1, { value }), new AbortController().signal);
        expect(outcome.kind === 'output' && JSON.parse(String(outcome.value)).model).toMatchObject({
          provider: 'webgpu',
        });
        expect(stations.model().provider).toBe('webgpu');
        expect(events).toContainEqual({ type: 'model', bundle: 'ham-encoder', version: '0.0.1', provider: 'webgpu' });
      } finally {
        await stations.stop();
      }
    });

    it('fault 32: a GPU that starts but cannot run the model: the next provider runs, it says why, and is still degraded after a kill -9', {
      timeout: 2 * PATIENCE_MS,
    }, async ({ task }) => {
      setEnvironment(SOFTWARE_GPU ?? {});
      // Its attention has a padding mask, which WebGPU's does not.
      const env = { ...TINY, MNER_REDIS_URL: 'none', MNER_PROVIDERS: 'webgpu,cpu' };
      const { stations, events, nextReady, metrics } = await open(env);
      try {
        expect(stations.model().provider).toBe('cpu');
        const notes = events.flatMap((event) => (event.type === 'note' ? [event.message] : []));
        expect(notes).toContainEqual(
          expect.stringMatching(
            /^The execution provider webgpu cannot run the model: .*self-test.* The next one is tried\.$/,
          ),
        );
        expect(await metrics()).toContain('mner_degraded{reason="provider"} 1\n');
        const ready = nextReady();
        killHost();
        await ready;
        // This start is not asked for WebGPU any more, so its process has nothing to complain of.
        expect(stations.model().provider).toBe('cpu');
        expect(await metrics()).toContain('mner_degraded{reason="provider"} 1\n');
        seen(task, 'webgpu starts and lacks an operator: cpu runs, degraded is 1; after kill -9 it still is');
      } finally {
        await stations.stop();
      }
    });

    it('a process that comes back on another provider: the metrics say so, as outputs and /info do', {
      timeout: PATIENCE_MS,
    }, async () => {
      setEnvironment(NO_GPU);
      const { stations, nextReady, metrics } = await open({ ...GPU_MODELS, MNER_PROVIDERS: 'webgpu,cpu' });
      const models = async () => (await metrics()).match(/^mner_model_info\{.*$/gm);
      const series = (provider: string) =>
        `mner_model_info{bundle="ham-encoder",version="0.0.1",provider="${provider}"} 1`;
      try {
        expect(await models()).toEqual([series('cpu')]);
        expect(await metrics()).toContain('mner_degraded{reason="provider"} 1\n');
        // Somebody installs the driver.
        setEnvironment({ ...SOFTWARE_GPU, VK_DRIVER_FILES: SOFTWARE_GPU?.VK_ICD_FILENAMES ?? '' });
        const ready = nextReady();
        killHost();
        await ready;
        expect(stations.model().provider).toBe('webgpu');
        expect(await models()).toEqual([series('webgpu')]);
        expect(await metrics()).toContain('mner_degraded{reason="provider"} 0\n');
      } finally {
        await stations.stop();
      }
    });

    it('fault 32: the same with `providers_fallback: refuse`: it does not start, and says why', {
      timeout: PATIENCE_MS,
    }, async () => {
      setEnvironment(SOFTWARE_GPU ?? {});
      const env = { ...TINY, MNER_REDIS_URL: 'none', MNER_PROVIDERS: 'webgpu,cpu', MNER_PROVIDERS_FALLBACK: 'refuse' };
      await expect(open(env)).rejects.toMatchObject({ code: 'provider_unavailable' });
    });
  },
);

it('fault 32: no GPU for WebGPU: the CPU runs, degraded', { timeout: PATIENCE_MS }, async () => {
  setEnvironment(NO_GPU);
  const { stations, events } = await open({ ...GPU_MODELS, MNER_PROVIDERS: 'webgpu,cpu' });
  await stations.stop();
  expect(stations.model().provider).toBe('cpu');
  expect(events).toContainEqual({ type: 'degraded', reason: 'provider', on: true });
});
