import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '#mner/clock.js';
import { loadNerBundle, readBundleJson } from '#mner/inference/bundle.js';
import { createLocalHost } from '#mner/inference/host-local.js';
import { createNerModel, type NerModel } from '#mner/inference/model.js';
import type { InferenceHost } from '#mner/inference/port.js';
import { silent } from '#mner/telemetry/events.js';
import { createEncoder } from '#mner/text/encode.js';
import { createReader, type Reader } from '#mner/text/reader.js';

describe('a reader over the tiny bundle', () => {
  let host: InferenceHost;
  let model: NerModel;
  let reader: Reader;

  beforeAll(async () => {
    const bundle = await loadNerBundle('test/fixtures/bundles', 'ham-tiny');
    host = createLocalHost({ models: [bundle.model], threads: 1 });
    await host.start();
    model = createNerModel({ host, bundle, mentions: 'ignore' });
    reader = createReader({
      encoder: createEncoder({
        tokenizer: await readBundleJson(bundle, 'tokenizer.json'),
        settings: bundle.manifest.text,
      }),
      model,
      head: { labels: bundle.manifest.labels, ...bundle.manifest.heads.ignore },
      clock: systemClock,
      emit: silent,
    });
  });

  afterAll(async () => {
    await model.stop();
    await host.stop();
  });

  it('finds nothing in a text without words, and asks the model nothing', async () => {
    expect(await reader.read([], null)).toEqual({
      chunks: [],
      confidences: [],
      relevance: null,
      regions: null,
      windows: 0,
    });
  });

  it('gives a probability to each chunk, and chunks that do not overlap', async () => {
    const { chunks, confidences, windows } = await reader.read(['Kobe', 'Bryant', 'visits', 'Rome'], null);
    expect(windows).toBe(1);
    expect(confidences).toHaveLength(chunks.length);
    for (const confidence of confidences) {
      expect(confidence).toBeGreaterThan(0);
      expect(confidence).toBeLessThanOrEqual(1);
    }
    chunks.forEach(({ from, to }, i) => {
      expect(from).toBeGreaterThanOrEqual(chunks[i - 1]?.to ?? 0);
      expect(to).toBeGreaterThan(from);
    });
  });

  it('reads the same alone and among others', async () => {
    const words = ['Berlin', 'is', 'calling'];
    const alone = await reader.read(words, null);
    const [among] = await Promise.all([reader.read(words, null), reader.read(['a', 'b', 'c', 'd', 'e'], null)]);
    expect(among?.chunks).toEqual(alone.chunks);
    among?.confidences.forEach((confidence, i) => {
      expect(confidence).toBeCloseTo(alone.confidences[i] as number, 4);
    });
  });

  it('reads a long text in several windows, each word once', async () => {
    const words = Array.from({ length: 600 }, (_, i) => (i % 7 === 0 ? 'London' : 'word'));
    const { chunks, windows } = await reader.read(words, null);
    expect(windows).toBeGreaterThan(1);
    for (const { to } of chunks) expect(to).toBeLessThanOrEqual(600);
  });
});
