import { describe, expect, it } from 'vitest';
import { createInUse, type Told } from '#mner/serving/in-use.js';
import { createRoster } from '#mner/serving/roster.js';
import type { Event } from '#mner/telemetry/events.js';
import { createTelemetry } from '#mner/telemetry/telemetry.js';

/** A model whose process can come back on another provider. */
function modelOf(name: string, provider: string, vision: string | null = null) {
  const state = { provider };
  const told: Told = {
    models: {
      ner: { manifest: { name, version: '1' } },
      vision: vision === null ? null : { manifest: { name: vision, version: '1' } },
    },
    model: () => ({ provider: state.provider }),
  };
  return { told, state };
}

function inUse(stable: Told, canary: Told | null = null) {
  const events: Event[] = [];
  const telemetry = createTelemetry({ log: { level: 'silent' }, nodeMetrics: false });
  const roster = createRoster(stable, canary, 0.5);
  const tell = createInUse(roster, ['webgpu', 'cpu'], (event) => {
    events.push(event);
    telemetry.emit(event);
  });
  tell();
  const read = async () => {
    const text = await telemetry.metrics.render();
    const series = [...text.matchAll(/^mner_model_info\{bundle="(.*?)",version="(.*?)",provider="(.*?)"\} 1$/gm)];
    return {
      models: series.map(([, bundle, version, provider]) => `${bundle} ${version} ${provider}`).sort(),
      degraded: Number(/^mner_degraded\{reason="provider"\} (\d)$/m.exec(text)?.[1]),
    };
  };
  return { events, roster, tell, read };
}

describe('which bundles are in use', () => {
  it('is told at the start, and not again while nothing changes', async () => {
    const { events, tell, read } = inUse(modelOf('ham', 'webgpu', 'vision').told);
    expect(await read()).toEqual({ models: ['ham 1 webgpu', 'vision 1 webgpu'], degraded: 0 });
    const before = events.length;
    tell();
    expect(events).toHaveLength(before);
  });

  it('a process that comes back on another provider takes the series of its bundles along', async () => {
    const { told, state } = modelOf('ham', 'webgpu', 'vision');
    const { tell, read } = inUse(told);
    state.provider = 'cpu';
    tell();
    expect(await read()).toEqual({ models: ['ham 1 cpu', 'vision 1 cpu'], degraded: 1 });
    state.provider = 'webgpu';
    tell();
    expect(await read()).toEqual({ models: ['ham 1 webgpu', 'vision 1 webgpu'], degraded: 0 });
  });

  it('a bundle of another name that takes over leaves no series of the old one, nor of its vision bundle', async () => {
    const { roster, tell, read } = inUse(modelOf('ham', 'webgpu', 'vision').told);
    void roster.replace('stable', modelOf('ita', 'webgpu', 'vision-2').told);
    tell();
    expect(await read()).toEqual({ models: ['ita 1 webgpu', 'vision-2 1 webgpu'], degraded: 0 });
  });

  it('a vision bundle that two models share stays while one of them does', async () => {
    const { roster, tell, read } = inUse(
      modelOf('ham', 'webgpu', 'vision').told,
      modelOf('ita', 'webgpu', 'vision').told,
    );
    void roster.replace('canary', modelOf('bga', 'webgpu').told);
    tell();
    expect((await read()).models).toEqual(['bga 1 webgpu', 'ham 1 webgpu', 'vision 1 webgpu']);
  });

  it('a canary on the first provider does not hide that the stable model fell back', async () => {
    const canary = modelOf('ita', 'webgpu');
    const { tell, read } = inUse(modelOf('ham', 'cpu').told, canary.told);
    expect(await read()).toEqual({ models: ['ham 1 cpu', 'ita 1 webgpu'], degraded: 1 });
    canary.state.provider = 'cpu';
    tell();
    canary.state.provider = 'webgpu';
    tell();
    expect((await read()).degraded).toBe(1);
  });

  it('a host that is given, and names a provider of its own, has fallen back from nothing', async () => {
    expect((await inUse(modelOf('ham', 'none').told).read()).degraded).toBe(0);
  });
});
