import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MnerError } from '#mner/errors.js';
import { createFeatureExtractor } from '#mner/image/features.js';
import { floatToHalf, halfToFloat } from '#mner/image/half.js';
import type { InferenceHost, Tensors } from '#mner/inference/port.js';
import { type CountingHost, TINY, tinyVision } from './vision-tiny.js';

const BYTES = TINY.size * TINY.size * 3;
const inOneColour = (red: number, green: number, blue: number) =>
  Uint8Array.from({ length: BYTES }, (_, at) => [red, green, blue][at % 3] ?? 0);

describe('with the tiny vision bundle', () => {
  let host: CountingHost;
  beforeAll(async () => {
    host = await tinyVision();
  });
  afterAll(() => host.stop());

  it('gives the features that docs/bundles.md lists', async () => {
    const features = await createFeatureExtractor({ host, bundle: TINY }).extract(inOneColour(255, 0, 0));
    expect(features?.grid).toHaveLength(25 * 192);
    expect(features?.embedding).toHaveLength(384);
    const norm = Math.hypot(...Array.from(features?.embedding ?? [], halfToFloat));
    expect(norm).toBeCloseTo(1, 2);
    const scores = features?.tags.map(({ score }) => score) ?? [];
    expect(scores).toHaveLength(10);
    expect(scores).toEqual([...scores].sort((a, b) => b - a));
    expect(features?.objects.length).toBeLessThanOrEqual(5);
    for (const { score, box } of features?.objects ?? []) {
      expect(score).toBeGreaterThanOrEqual(0.29);
      expect(score).toBe(halfToFloat(floatToHalf(score)));
      for (const edge of box) expect(edge).toBe(halfToFloat(floatToHalf(edge)));
    }
  });

  it('gives a picture the same features alone and among others', async () => {
    const extractor = createFeatureExtractor({ host, bundle: TINY });
    const red = inOneColour(255, 0, 0);
    const alone = await extractor.extract(red);
    const calls = host.batches.length;
    const [blue, among] = await Promise.all(
      [inOneColour(0, 0, 255), red, inOneColour(9, 9, 9)].map((one) => extractor.extract(one)),
    );
    expect(host.batches.slice(calls)).toEqual([3]);
    expect(among).toEqual(alone);
    expect(blue?.tags).not.toEqual(alone?.tags);
  });

  it('runs the first at once, and fills the next call, of at most eight, while one runs', async () => {
    const extractor = createFeatureExtractor({ host, bundle: TINY });
    const calls = host.batches.length;
    const features = Array.from({ length: 11 }, (_, at) => extractor.extract(inOneColour(at, at, at)));
    expect(await Promise.all(features)).toHaveLength(11);
    expect(host.batches.slice(calls)).toEqual([1, 8, 2]);
  });
});

describe('with a host of its own mind', () => {
  const hostThat = (run: (pixels: Uint8Array, rows: number) => Tensors): InferenceHost => ({
    provider: 'cpu',
    start: async () => {},
    stop: async () => {},
    run: async (_, { pixels }) => run(pixels?.data as Uint8Array, pixels?.dims[0] ?? 0),
  });
  const outputs = (rows: number, embedding = 0): Tensors => ({
    grid: { type: 'float16', dims: [rows, 25, 192], data: new Uint16Array(rows * 4800) },
    embedding: { type: 'float16', dims: [rows, 384], data: new Uint16Array(rows * 384).fill(embedding, 0, 1) },
    tags: { type: 'float16', dims: [rows, 20], data: new Uint16Array(rows * 20) },
    boxes: { type: 'float32', dims: [rows, 1, 4], data: new Float32Array(rows * 4) },
    object_scores: { type: 'float32', dims: [rows, 1, 80], data: new Float32Array(rows * 80) },
  });

  it('finds the one picture that the model refuses', async () => {
    const host = hostThat((pixels, rows) => {
      for (let row = 0; row < rows; row += 1) if (pixels[row * BYTES] === 13) throw new MnerError('inference_poison');
      return outputs(rows);
    });
    const extractor = createFeatureExtractor({ host, bundle: TINY });
    const features = await Promise.all([7, 13, 8].map((value) => extractor.extract(inOneColour(value, 0, 0))));
    expect(features.map((one) => one !== null)).toEqual([true, false, true]);
  });

  it('makes nothing of numbers that are none', async () => {
    const NAN = 0x7e00;
    const host = hostThat((pixels, rows) => outputs(rows, pixels[0] === 1 ? NAN : 0));
    const extractor = createFeatureExtractor({ host, bundle: TINY });
    const features = await Promise.all([1, 2].map((value) => extractor.extract(inOneColour(value, 0, 0))));
    expect(features[0]).toBeNull();
    expect(features[1]).not.toBeNull();
  });

  it('runs as many batches side by side as the host has processes', async () => {
    const rows: number[] = [];
    const answers: (() => void)[] = [];
    const host: InferenceHost = {
      ...hostThat((_, count) => outputs(count)),
      processes: 2,
      run: (_, { pixels }) =>
        new Promise((resolve) => {
          const count = pixels?.dims[0] ?? 0;
          rows.push(count);
          answers.push(() => resolve(outputs(count)));
        }),
    };
    const extractor = createFeatureExtractor({ host, bundle: TINY });
    const features = [1, 2, 3, 4].map((value) => extractor.extract(inOneColour(value, 0, 0)));
    expect(rows).toEqual([1, 1]);
    answers[1]?.();
    await features[1];
    await new Promise(setImmediate);
    expect(rows).toEqual([1, 1, 2]);
    for (const answer of answers) answer();
    expect(await Promise.all(features)).not.toContain(null);
  });

  it('passes the host’s own failure on, and goes on when it recovers', async () => {
    let up = false;
    const host = hostThat((_, rows) => {
      if (!up) throw new MnerError('inference_unavailable');
      return outputs(rows);
    });
    const extractor = createFeatureExtractor({ host, bundle: TINY });
    await expect(extractor.extract(inOneColour(1, 1, 1))).rejects.toMatchObject({ code: 'inference_unavailable' });
    up = true;
    expect(await extractor.extract(inOneColour(1, 1, 1))).not.toBeNull();
  });
});
