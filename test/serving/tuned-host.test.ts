import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { systemClock } from '#mner/clock.js';
import { loadConfig } from '#mner/config/load.js';
import type { Config } from '#mner/config/schema.js';
import { memoryCache } from '#mner/image/cache/memory.js';
import { memoryOrigin } from '#mner/image/fetch/memory.js';
import { createLocalHost } from '#mner/inference/host-local.js';
import { loadModels, type Models } from '#mner/models.js';
import { type HostWishes, openHost, type TunedHost } from '#mner/serving/tuned-host.js';
import type { Event } from '#mner/telemetry/events.js';
import { TINY } from '../support/servers.js';

const config = loadConfig({ env: { ...TINY, MNER_BATCH_TOKENS: 'auto' } }).config;
let models: Models;
let folder: string;
const opened: TunedHost[] = [];
beforeAll(async () => {
  models = await loadModels(config);
  folder = await mkdtemp(join(tmpdir(), 'mner-tuned-'));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  for (const { host } of opened.splice(0)) await host.stop();
});
afterAll(() => rm(folder, { recursive: true }));

/** Opens a host under a cache folder; gives how it is fed, and what was said. */
async function open(cache: string, change: Partial<Config> = {}, wishes: HostWishes = { calibrate: true }) {
  vi.stubEnv('XDG_CACHE_HOME', join(folder, cache));
  const events: Event[] = [];
  const tuned = await openHost(
    models,
    {
      config: { ...config, ...change },
      cache: memoryCache(),
      origin: memoryOrigin(),
      repeats: null,
      clock: systemClock,
      emit: (event) => void events.push(event),
      allowFiles: false,
      anyWords: false,
    },
    wishes,
  );
  opened.push(tuned);
  const measured = events.filter((event) => event.type === 'note' && event.message.startsWith('Measured'));
  return { ...tuned, measured: measured.length };
}

describe('the token budget and the processes', () => {
  it('are measured once, remembered, and measured again for anything else', async () => {
    const first = await open('once');
    expect(first.feeding).toMatchObject({ processes: 1, threads: 1, from: 'measured' });
    expect([256, 512, 1024, 2048]).toContain(first.feeding.tokens);
    expect(first.host.provider).toBe('cpu');
    expect(first.measured).toBe(1);
    const second = await open('once');
    expect(second.feeding).toEqual({ ...first.feeding, from: 'remembered' });
    expect(second.measured).toBe(0);
    const other = await open('once', { mentions: 'entity' });
    expect(other.feeding.from).toBe('measured');
    const { found } = JSON.parse(await readFile(join(folder, 'once', 'mner-stream', 'calibration.json'), 'utf8'));
    expect(Object.keys(found)).toHaveLength(2);
    // A key is a digest: the file says nothing of the machine or the bundle.
    for (const key of Object.keys(found)) expect(key).toMatch(/^[0-9a-f]{32}$/);
  });

  it('are those of the configuration where it names a number, and nothing is written', async () => {
    const { feeding, measured } = await open('named', { batch_tokens: 512 });
    expect([feeding, measured]).toEqual([{ tokens: 512, processes: 1, threads: 1, from: 'configured' }, 0]);
    await expect(readFile(join(folder, 'named', 'mner-stream', 'calibration.json'))).rejects.toThrow();
  });

  it('are the default for a command that does not measure, and for a host that is given', async () => {
    expect((await open('short', {}, { calibrate: false })).feeding).toEqual({
      tokens: 1024,
      processes: 1,
      threads: 1,
      from: 'default',
    });
    const host = createLocalHost({ models: models.hosted, threads: 1 });
    const given = await open('given', {}, { calibrate: true, host });
    expect(given.feeding).toEqual({ tokens: 1024, processes: 1, threads: 1, from: 'default' });
    expect(given.host).toBe(host);
  });

  it('are measured for one process with all threads and for one a thread; one of the two stays', async () => {
    const { feeding, host } = await open('cores', { threads: 2 });
    expect(feeding.from).toBe('measured');
    expect([1, 2]).toContain(feeding.processes);
    expect(feeding.processes * feeding.threads).toBe(2);
    expect(host.provider).toBe('cpu');
    expect((await open('cores', { threads: 2 })).feeding).toEqual({ ...feeding, from: 'remembered' });
  });

  it('are measured for a budget that is configured too, since the processes are not', async () => {
    const { feeding, measured } = await open('half', { threads: 2, batch_tokens: 512 });
    expect(feeding).toMatchObject({ tokens: 512, from: 'measured' });
    expect(measured).toBe(1);
  });

  it('a worker on a busy machine takes several processes unmeasured, a command one', async () => {
    const worker = await open('busy', { threads: 2 }, { calibrate: false, several: true });
    expect(worker.feeding).toEqual({ tokens: 1024, processes: 2, threads: 1, from: 'default' });
    const command = await open('busy', { threads: 2 }, { calibrate: false });
    expect(command.feeding).toEqual({ tokens: 1024, processes: 1, threads: 2, from: 'default' });
  });

  it('are all configured: nothing is measured, and threads are shared out evenly', async () => {
    const { feeding, measured } = await open('all', { threads: 5, batch_tokens: 512, inference_processes: 2 });
    expect([feeding, measured]).toEqual([{ tokens: 512, processes: 2, threads: 2, from: 'configured' }, 0]);
  });

  it('a budget that was found on a GPU was given to the CPU in its place: it counts where it was found', async () => {
    await open('gpu');
    const path = join(folder, 'gpu', 'mner-stream', 'calibration.json');
    const file = JSON.parse(await readFile(path, 'utf8'));
    for (const one of Object.values<Record<string, unknown>>(file.found))
      Object.assign(one, { provider: 'webgpu', tokens: 16_384 });
    await writeFile(path, JSON.stringify(file));
    const short = await open('gpu', {}, { calibrate: false });
    expect(short.feeding).toEqual({ tokens: 1024, processes: 1, threads: 1, from: 'default' });
    const again = await open('gpu');
    expect(again.feeding.from).toBe('measured');
    expect(again.feeding.tokens).toBeLessThan(16_384);
    expect((await open('gpu')).feeding).toEqual({ ...again.feeding, from: 'remembered' });
  });

  it('are measured at every start where the cache folder cannot be written, which is no fault', async () => {
    await writeFile(join(folder, 'blocked'), '');
    for (let i = 0; i < 2; i++) expect((await open('blocked')).feeding.from).toBe('measured');
  });
});
