import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkBundle, type NerBundle, readBundleJson } from '#mner/inference/bundle.js';
import { createLocalHost } from '#mner/inference/host-local.js';
import { createNerModel } from '#mner/inference/model.js';
import type { InferenceHost, Tensors } from '#mner/inference/port.js';
import type { PictureInput } from '#mner/inference/row.js';
import { createEncoder, type Encoder } from '#mner/text/encode.js';

interface Case {
  name: string;
  words: string[];
  image: boolean;
  boxes: [number, number, number, number][];
  object_classes: number[];
  object_scores: number[];
  grid_times_4: number[];
  embedding_times_128: number[];
  /** [words, heads, labels] */
  emissions: number[][][];
  relevance: number;
  regions: number[];
}

const FOLDER = 'test/fixtures/bundles/ham-tiny';
// What PyTorch says of the same tweets.
const fixture: { tolerance: number; cases: Case[] } = JSON.parse(readFileSync(`${FOLDER}/cases.json`, 'utf8'));

describe('a model of kind ner', () => {
  let bundle: NerBundle;
  let host: InferenceHost;
  let encoder: Encoder;

  beforeAll(async () => {
    bundle = (await checkBundle(FOLDER)) as NerBundle;
    encoder = createEncoder({
      tokenizer: await readBundleJson(bundle, 'tokenizer.json'),
      settings: bundle.manifest.text,
    });
    host = createLocalHost({ models: [bundle.model], threads: 1 });
    await host.start();
  });
  afterAll(() => host.stop());

  const textOf = (one: Case) => encoder.encode(one.words).windows[0]!;

  it.each(['ignore', 'entity'] as const)('says what PyTorch says, all tweets in one batch (%s)', async (mentions) => {
    const model = createNerModel({ host, bundle, mentions, maxPadding: 1 });
    const reads = Promise.all(fixture.cases.map((one) => model.read(textOf(one), pictureOf(one))));
    await model.stop();
    const results = await reads;
    const head = bundle.manifest.heads[mentions].index;
    fixture.cases.forEach((one, i) => {
      const { emissions, relevance, regions } = results[i]!;
      near(
        emissions,
        one.emissions.flatMap((heads) => heads[head]!),
      );
      if (one.image) {
        near([relevance!], [one.relevance]);
        near(regions!, one.regions);
      } else {
        expect(relevance).toBeNull();
        expect(regions).toBeNull();
      }
    });
  });

  it('calls a row without numbers poison, and its neighbours sound', async () => {
    const [first, second] = fixture.cases as [Case, Case];
    const broken: InferenceHost = {
      ...host,
      run: async (name, feeds) => spoil(await host.run(name, feeds), 1),
    };
    const model = createNerModel({ host: broken, bundle, mentions: 'ignore', maxPadding: 1 });
    const results = Promise.allSettled([first, second].map((one) => model.read(textOf(one), pictureOf(one))));
    await model.stop();
    const [sound, poison] = await results;
    expect(sound?.status).toBe('fulfilled');
    expect(poison).toMatchObject({ status: 'rejected', reason: { code: 'inference_poison' } });
  });

  it('refuses features of another vision encoder', async () => {
    const one = fixture.cases.find(({ image }) => image)!;
    const model = createNerModel({ host, bundle, mentions: 'ignore' });
    const read = model.read(textOf(one), { ...pictureOf(one)!, grid: new Uint16Array(10) });
    await model.stop();
    await expect(read).rejects.toMatchObject({ code: 'internal', message: expect.stringContaining('grid') });
  });

  function near(got: ArrayLike<number>, expected: readonly number[]) {
    expect(got.length).toBe(expected.length);
    const worst = Math.max(...Array.from(got, (value, i) => Math.abs(value - expected[i]!)));
    // Stored to four decimals, computed by another program.
    expect(worst).toBeLessThan(5 * fixture.tolerance);
  }
});

function pictureOf(one: Case): PictureInput | null {
  if (!one.image) return null;
  return {
    grid: Uint16Array.from(one.grid_times_4, (value) => toHalf(value / 4)),
    embedding: Uint16Array.from(one.embedding_times_128, (value) => toHalf(value / 128)),
    tags: [],
    objects: one.object_classes.flatMap((number, i) =>
      number === 0 ? [] : [{ class: number - 1, score: one.object_scores[i]!, box: one.boxes[i]! }],
    ),
  };
}

/** The bits of a float16 that holds the value exactly. */
function toHalf(value: number): number {
  if (value === 0) return 0;
  const sign = value < 0 ? 0x8000 : 0;
  const exponent = Math.floor(Math.log2(Math.abs(value)));
  return sign | ((exponent + 15) << 10) | Math.round((Math.abs(value) / 2 ** exponent - 1) * 1024);
}

/** The outputs with one row's emissions made NaN. */
function spoil(outputs: Tensors, row: number): Tensors {
  const emissions = outputs.emissions!;
  const data = Float32Array.from(emissions.data as Float32Array);
  const size = data.length / emissions.dims[0]!;
  data.fill(Number.NaN, row * size, (row + 1) * size);
  return { ...outputs, emissions: { type: 'float32', data, dims: emissions.dims } };
}
