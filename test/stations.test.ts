import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadConfig } from '#mner/config/load.js';
import { memoryCache } from '#mner/image/cache/memory.js';
import type { EntityRecord } from '#mner/ner/record.js';
import { isCanary } from '#mner/serving/roster.js';
import { openStations, type Stations } from '#mner/stations.js';
import type { Event } from '#mner/telemetry/events.js';
import { createTelemetry } from '#mner/telemetry/telemetry.js';
import { childrenOf, commandOf, gone } from './cli/processes.js';
import { type BundleFolder, bundleFolder } from './serving/bundles.js';
import { record } from './stream/records.js';
import { seen } from './support/seen.js';

describe('bundles that change while the stations work', () => {
  const events: Event[] = [];
  let bundles: BundleFolder;
  let stations: Stations;

  beforeEach(() => {
    events.length = 0;
    bundles = bundleFolder();
  });
  afterEach(async () => {
    await stations?.stop();
    bundles.remove();
  });

  const open = async (env: Record<string, string> = {}) => {
    const { config } = loadConfig({
      env: {
        MNER_MODELS_DIR: bundles.root,
        MNER_BUNDLE: 'ham-faulty',
        MNER_REDIS_URL: 'none',
        MNER_THREADS: '1',
        ...env,
      },
    });
    const telemetry = createTelemetry({ log: { level: 'silent' }, nodeMetrics: false });
    const emit = (event: Event) => {
      events.push(event);
      telemetry.emit(event);
    };
    stations = await openStations(config, { ...telemetry, emit }, { cache: memoryCache() });
    return { metrics: () => telemetry.metrics.render() };
  };
  const read = async (id: string, text = 'Anna met Ben in Oslo'): Promise<EntityRecord> => {
    const value = Buffer.from(JSON.stringify({ id, text }));
    const outcome = await stations.process(record(1, { value }), new AbortController().signal);
    if (outcome.kind !== 'output') throw outcome.error;
    return JSON.parse(String(outcome.value));
  };
  const typesOf = ({ entities }: EntityRecord) => entities.map(({ type }) => type);
  const degraded = () => events.filter((event) => event.type === 'degraded' && event.reason === 'reload');

  it('a new version takes over, and outputs, /info and the metrics name it', async () => {
    const { metrics } = await open();
    const before = await read('1');
    bundles.release('ham-faulty', '0.0.2');
    expect(await stations.reload()).toEqual({ ok: true, bundles: ['ham-faulty@0.0.2'] });
    const after = await read('1');
    expect(before.model.version).toBe('0.0.1');
    expect(after.model.version).toBe('0.0.2');
    expect(typesOf(after)).not.toEqual(typesOf(before));
    expect(stations.model()).toMatchObject({ bundle: 'ham-faulty', version: '0.0.2' });
    const text = await metrics();
    expect(text).toContain('mner_model_info{bundle="ham-faulty",version="0.0.2",provider="cpu"} 1');
    expect(text).not.toContain('version="0.0.1"');
    expect(text).toContain('mner_reloads_total{result="done"} 1');
  });

  it('what has not changed stays, process and all', async () => {
    await open();
    expect(await stations.reload()).toEqual({ ok: true, bundles: [] });
    expect(events).toContainEqual({ type: 'reload', result: 'unchanged' });
  });

  it('fault 30: a corrupt model on reload: the old one stays, an alert is raised, and ends with the next good one', async ({
    task,
  }) => {
    const { metrics } = await open();
    const before = await read('1');
    bundles.release('ham-faulty', '0.0.2');
    bundles.corrupt('ham-faulty');
    const result = await stations.reload();
    expect(result).toMatchObject({ ok: false, error: { code: 'bad_bundle' } });
    expect(result.ok || result.error.message).toMatch(/model\.onnx does not have the SHA-256 of the manifest/);
    expect(await read('1')).toMatchObject({ model: before.model, entities: before.entities });
    expect(degraded()).toEqual([{ type: 'degraded', reason: 'reload', on: true }]);
    expect(events).toContainEqual(expect.objectContaining({ type: 'note', level: 'error' }));
    expect(await metrics()).toMatch(/mner_degraded\{reason="reload"\} 1\n/);
    bundles.corrupt('ham-faulty');
    expect(await stations.reload()).toEqual({ ok: true, bundles: ['ham-faulty@0.0.2'] });
    expect(degraded().at(-1)).toEqual({ type: 'degraded', reason: 'reload', on: false });
    seen(
      task,
      'flipped bit: 0.0.1 goes on with the same entities, degraded is 1; mended: 0.0.2 takes over, degraded is 0',
    );
  });

  it('a graph that does not load, or does not run, is refused as a corrupt one is', async () => {
    await open();
    bundles.release('ham-faulty', '0.0.2', (manifest) => {
      manifest.inputs = { input_ids: manifest.inputs.input_ids };
    });
    expect(await stations.reload()).toMatchObject({ ok: false, error: { code: 'bad_bundle' } });
    expect((await read('1')).model.version).toBe('0.0.1');
  });

  it('fault 30: a bundle that is whole but fails its self-test is refused, and says by how much', async ({ task }) => {
    await open();
    bundles.release('ham-faulty', '0.0.2');
    bundles.retrain('ham-faulty');
    const refused = await stations.reload();
    expect(refused.ok || refused.error.message).toMatch(/ham-faulty fails its self-test: case 1: emissions/);
    expect((await read('1')).model.version).toBe('0.0.1');
    seen(task, `other weights under right checksums: ${refused.ok || refused.error.message.split(': ').pop()}`);
  });

  it('a text bundle that needs another vision encoder brings it along, or is refused in one sentence', async () => {
    await open({ MNER_BUNDLE: 'ham-tiny' });
    bundles.release('ham-tiny', '0.0.2', (manifest) => {
      manifest.vision = { family: 'vision', version: '7.0.0' };
    });
    const refused = await stations.reload();
    expect(refused.ok || refused.error.message).toBe(
      `ham-tiny needs a vision bundle of version 7.0.0; ${bundles.root} has none.`,
    );
    expect((await read('1')).model.version).toBe('0.0.1');
    bundles.release('vision-tiny', '7.0.0', () => {});
    expect(await stations.reload()).toEqual({ ok: true, bundles: ['ham-tiny@0.0.2'] });
    expect(stations.models.vision?.manifest.version).toBe('7.0.0');
    expect((await read('1')).model.version).toBe('0.0.2');
  });

  it('a canary reads its share of the tweets, by their ids, and is counted apart', async () => {
    bundles.release('ham-canary', '0.1.0');
    const { metrics } = await open({ MNER_CANARY_BUNDLE: 'ham-canary', MNER_CANARY_SHARE: '0.4' });
    const ids = Array.from({ length: 50 }, (_, i) => String(i));
    const outputs = await Promise.all(ids.map((id) => read(id)));
    const names = outputs.map(({ model }) => model.bundle);
    expect(names).toEqual(ids.map((id) => (isCanary(id, 0.4) ? 'ham-canary' : 'ham-faulty')));
    const tried = names.filter((name) => name === 'ham-canary').length;
    const text = await metrics();
    expect(text).toContain(`mner_bundle_tweets_total{bundle="ham-canary",result="read"} ${tried}\n`);
    expect(text).toContain(`mner_bundle_tweets_total{bundle="ham-faulty",result="read"} ${50 - tried}\n`);
    expect(text).toMatch(/mner_bundle_entities_total\{bundle="ham-canary",type="[A-Z]+"\} \d+/);
    expect(text).toMatch(/mner_bundle_inference_seconds_count\{bundle="ham-canary"\} [1-9]/);
    // Each side says what its own labels say.
    const types = new Map(outputs.map((one) => [one.model.bundle, typesOf(one)]));
    for (const one of outputs) expect(typesOf(one)).toEqual(types.get(one.model.bundle));
    expect(types.get('ham-canary')).not.toEqual(types.get('ham-faulty'));
    expect(stations.canary()).toMatchObject({ bundle: 'ham-canary', version: '0.1.0' });
  });

  it('a canary that is the bundle itself is refused', async () => {
    await expect(open({ MNER_BUNDLE: 'ham-tiny', MNER_CANARY_BUNDLE: 'ham-tiny' })).rejects.toThrow(
      'bundle and canary_bundle must not both be "ham-tiny"',
    );
  });

  it('a canary that is bad leaves the stable bundle where it was too', async () => {
    await open({ MNER_CANARY_BUNDLE: 'ham-canary' });
    bundles.release('ham-faulty', '0.0.2');
    bundles.corrupt('ham-canary');
    expect(await stations.reload()).toMatchObject({ ok: false });
    expect(stations.model().version).toBe('0.0.1');
  });

  it('reloads that come together are one after the other, and end before the stations do', async () => {
    await open();
    bundles.release('ham-faulty', '0.0.2');
    const results = [stations.reload(), stations.reload(), stations.reload()];
    await stations.stop();
    for (const result of await Promise.all(results)) expect(result).toHaveProperty('ok');
  });

  it('what was replaced, and what was refused, leaves no process behind, be it a canary', async () => {
    bundles.release('ham-canary', '0.1.0');
    await open({ MNER_CANARY_BUNDLE: 'ham-canary', MNER_CANARY_SHARE: '0.4' });
    const hosts = () => childrenOf(process.pid).filter(isHost);
    const before = hosts();
    expect(before).toHaveLength(2);
    bundles.release('ham-faulty', '0.0.2');
    bundles.release('ham-canary', '0.1.1');
    const reading = Promise.all(Array.from({ length: 20 }, (_, i) => read(String(i))));
    expect(await stations.reload()).toMatchObject({ ok: true });
    for (const { model } of await reading) expect(['0.0.1', '0.0.2', '0.1.0', '0.1.1']).toContain(model.version);
    await gone(before);
    const working = hosts();
    expect(working).toHaveLength(2);
    // The stable bundle is good and already open when the canary is refused.
    bundles.release('ham-faulty', '0.0.3');
    bundles.release('ham-canary', '0.1.2');
    bundles.retrain('ham-canary');
    expect(await stations.reload()).toMatchObject({ ok: false, error: { code: 'bad_bundle' } });
    expect(hosts()).toEqual(working);
  });

  it('a process that dies after the files on the disk were replaced comes back as it was', async () => {
    await open();
    const before = await read('1');
    bundles.release('ham-faulty', '0.0.2');
    bundles.corrupt('ham-faulty');
    const restarted = new Promise<void>((resolve) => {
      const timer = setInterval(() => {
        if (events.some(({ type }) => type === 'inference_restart')) resolve(clearInterval(timer));
      }, 5);
    });
    const [child] = childrenOf(process.pid).filter(isHost);
    process.kill(child as number, 'SIGKILL');
    await restarted;
    expect(await read('2')).toMatchObject({ model: before.model, entities: before.entities });
  });
});

function isHost(pid: number): boolean {
  return commandOf(pid).includes('host-child');
}
