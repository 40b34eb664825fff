import { afterEach, describe, expect, it } from 'vitest';
import type { ProcessHostOptions } from '#mner/inference/host-process.js';
import type { HostedModel, InferenceHost, Tensors } from '#mner/inference/port.js';
import type { Event } from '#mner/telemetry/events.js';

const FOLDER = 'test/fixtures/bundles/vision-tiny';
export const VISION: HostedModel = { name: 'vision-tiny', path: `${FOLDER}/model.onnx` };

/** A picture of one colour for the tiny vision model. */
export function picture(colour: number, batch = 1): Tensors {
  return {
    pixels: { type: 'uint8', data: new Uint8Array(batch * 64 * 64 * 3).fill(colour), dims: [batch, 64, 64, 3] },
  };
}

/** What every {@link InferenceHost} does. */
export function hostConformance(name: string, create: (options: ProcessHostOptions) => InferenceHost): void {
  describe(`inference host: ${name}`, () => {
    const hosts: InferenceHost[] = [];
    const make = (options: Partial<ProcessHostOptions> = {}) => {
      const host = create({ models: [VISION], threads: 1, ...options });
      hosts.push(host);
      return host;
    };
    afterEach(async () => {
      await Promise.all(hosts.splice(0).map((host) => host.stop()));
    });

    it('runs a model and gives typed outputs', async () => {
      const host = make();
      await host.start();
      expect(host.provider).toBe('cpu');
      const { grid, embedding, object_scores } = await host.run('vision-tiny', picture(100, 2));
      expect(grid?.dims).toEqual([2, 25, 192]);
      expect(grid?.type).toBe('float16');
      expect(grid?.data).toBeInstanceOf(Uint16Array);
      expect(embedding?.data).toHaveLength(2 * 384);
      expect(object_scores?.data).toBeInstanceOf(Float32Array);
      expect(object_scores?.data).toHaveLength(2 * 25 * 80);
    });

    it('answers each of many calls at once with its own result', async () => {
      const host = make();
      await host.start();
      const alone = [];
      for (const colour of [0, 90, 200]) alone.push((await host.run('vision-tiny', picture(colour))).embedding?.data);
      const together = await Promise.all([0, 90, 200].map((colour) => host.run('vision-tiny', picture(colour))));
      expect(together.map(({ embedding }) => embedding?.data)).toEqual(alone);
    });

    it('calls feeds that the graph refuses poison, and goes on', async () => {
      const host = make();
      await host.start();
      const wrong: Tensors = { pixels: { type: 'float32', data: new Float32Array(3), dims: [1, 3] } };
      await expect(host.run('vision-tiny', wrong)).rejects.toMatchObject({ code: 'inference_poison' });
      await expect(host.run('vision-tiny', {})).rejects.toMatchObject({ code: 'inference_poison' });
      await expect(host.run('vision-tiny', picture(1))).resolves.toHaveProperty('grid');
    });

    it('can be started twice, stopped twice, and stopped before its start', async () => {
      const host = make();
      await Promise.all([host.start(), host.start()]);
      await Promise.all([host.stop(), host.stop()]);
      await host.stop();
      const never = make();
      await never.stop();
      await expect(never.start()).rejects.toMatchObject({ code: 'inference_unavailable' });
    });

    it('runs nothing before its start and after its stop', async () => {
      const host = make();
      await expect(host.run('vision-tiny', picture(1))).rejects.toMatchObject({ code: 'inference_unavailable' });
      await host.start();
      const last = host.run('vision-tiny', picture(1));
      await host.stop();
      await expect(last).resolves.toHaveProperty('grid');
      await expect(host.run('vision-tiny', picture(1))).rejects.toMatchObject({ code: 'inference_unavailable' });
    });

    it('stops while it starts', async () => {
      const host = make();
      const starting = host.start().then(
        () => 'started',
        (error: { code: string }) => error.code,
      );
      await host.stop();
      expect(['started', 'inference_unavailable']).toContain(await starting);
    });

    it.each([
      ['a graph that is not there', { name: 'x', path: 'test/fixtures/bundles/none/model.onnx' }],
      ['a file that is no graph', { name: 'x', path: 'package.json' }],
      ['an input that the manifest does not know', { ...VISION, inputs: {} }],
      ['an output that the graph does not have', { ...VISION, outputs: { other: { type: 'float32', shape: [1] } } }],
      ['an input of another type', { ...VISION, inputs: { pixels: { type: 'float32', shape: ['batch', 64, 64, 3] } } }],
      ['an input of another shape', { ...VISION, inputs: { pixels: { type: 'uint8', shape: ['batch', 32, 32, 3] } } }],
    ])('refuses %s', async (_, model) => {
      await expect(make({ models: [model] }).start()).rejects.toMatchObject({ code: 'bad_bundle' });
    });

    it('goes on with the next provider, and says so', async () => {
      const events: Event[] = [];
      const host = make({ providers: ['cuda', 'cpu'], emit: (event) => events.push(event) });
      await host.start();
      expect(host.provider).toBe('cpu');
      expect(events).toContainEqual({ type: 'inference_ready', provider: 'cpu' });
      const notes = events.flatMap((event) => (event.type === 'note' ? [event.message] : []));
      expect(notes).toEqual(['The execution provider cuda cannot start; cpu runs instead.']);
    });

    it('refuses to start without the provider when told so', async () => {
      const host = make({ providers: ['cuda', 'cpu'], fallback: 'refuse' });
      await expect(host.start()).rejects.toMatchObject({ code: 'provider_unavailable' });
    });
  });
}
