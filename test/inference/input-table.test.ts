import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { floatToHalf, halfToFloat } from '#mner/image/half.js';
import { checkBundle, type NerBundle } from '#mner/inference/bundle.js';
import { createLocalHost } from '#mner/inference/host-local.js';
import { INPUT_TABLE } from '#mner/inference/input-table.js';
import { manifestSchema } from '#mner/inference/manifest.js';
import { createNerModel } from '#mner/inference/model.js';
import type { EncodedRow, PictureInput } from '#mner/inference/row.js';
import { encoderOf } from '#mner/models.js';
import { TOY_BUNDLES } from '../support/servers.js';

const WORDS = ['Kobe', 'scores', 'for', '#Lakers', 'in', 'Oslo'];
const CONTEXT = 'a man throws a ball';
const box = (i: number) => [i / 16, i / 8, (i + 3) / 16, (i + 3) / 8] as const;

const half = (size: number, value: (i: number) => number) =>
  Uint16Array.from({ length: size }, (_, i) => floatToHalf(value(i)));
const pictureOf = (objects: number, tags: number): PictureInput => ({
  grid: half(25 * 192, (i) => ((i * 13) % 29) / 16 - 1),
  embedding: half(384, (i) => ((i * 5) % 11) / 64),
  tags: Array.from({ length: tags }, (_, i) => ({ tag: 100 - 7 * i, score: (10 - i) / 16 })),
  objects: Array.from({ length: objects }, (_, i) => ({ class: 3 * i, score: (9 - i) / 16, box: box(i) })),
});

/** What the toys of mner/fixtures/toys.py make of a list of numbers. */
const weighed = (values: Iterable<number>) => Array.from(values).reduce((sum, x, i) => sum + x * ((i % 7) + 1), 0);
const total = (values: Iterable<number>) => Array.from(values).reduce((sum, x) => sum + x, 0);
/** The numbers that belong to one word. */
const ofWord = (values: ArrayLike<number>, word: number, width: number) =>
  Array.from(values).slice(word * width, (word + 1) * width);
const padded = (values: readonly number[], size: number) => [...values, ...Array(size).fill(0)].slice(0, size);

/** Emissions of one word for its two labels with an input, and O. */
type Expected = (text: EncodedRow, picture: PictureInput | null, word: number) => [number, number, number];

const EXPECTED: Readonly<Record<string, Expected>> = {
  'toy-pieces': ({ inputIds, wordOf, pieces }) => [1e-6 * total(inputIds), pieces, total(wordOf)],
  'toy-characters': ({ chars, flags }, _, i) => [weighed(ofWord(chars, i, 16)), weighed(ofWord(flags, i, 26)), 0],
  'toy-neighbours': (text, _, i) => [
    weighed(ofWord(text.neighbours, i, 4)),
    weighed(ofWord(text.neighbourWeights, i, 4)),
    0,
  ],
  'toy-context': ({ inputIds, pieces, ownPieces }) => [pieces - ownPieces, 1e-6 * total(inputIds), 0],
  'toy-grid': (_, picture) => [picture ? weighed(Array.from(picture.grid, halfToFloat)) : 0, picture ? 1 : 0, 0],
  'toy-embedding': (_, picture) => [picture ? weighed(Array.from(picture.embedding, halfToFloat)) : 0, 0, 0],
  'toy-objects': (_, picture) => [
    weighed(picture?.objects.map((one) => one.class + 1) ?? []),
    weighed(picture?.objects.map(({ score }) => score) ?? []),
    weighed(picture?.objects.flatMap((one) => [...one.box]) ?? []),
  ],
  'toy-tags': (_, picture) => [
    weighed(padded(picture?.tags.map(({ tag }) => tag + 1) ?? [], 10)),
    weighed(picture?.tags.map(({ score }) => score) ?? []),
    0,
  ],
};

describe('what a bundle lists is what it is fed', () => {
  it.each(Object.keys(EXPECTED))('%s', async (name) => {
    const bundle = (await checkBundle(join(TOY_BUNDLES, name))) as NerBundle;
    const encoder = encoderOf(bundle);
    const host = createLocalHost({ models: [bundle.model], threads: 1 });
    await host.start();
    const model = createNerModel({ host, bundle, mentions: 'ignore', maxPadding: 1 });
    try {
      const texts = [
        encoder.encode(WORDS, CONTEXT),
        encoder.encode(['Oslo']),
        encoder.encode(['RT', '@kobe', ':', 'http://t.co/x']),
      ].map(({ windows }) => windows[0] as EncodedRow);
      // No objects and five of them, no tags and ten, and no picture at all, side by side in one batch.
      const pictures = [pictureOf(5, 10), pictureOf(0, 0), null];
      const results = await Promise.all(texts.map((text, i) => model.read(text, pictures[i] ?? null)));
      texts.forEach((text, row) => {
        const result = results[row]!;
        const picture = pictures[row] ?? null;
        expect(result.emissions).toHaveLength(3 * text.words);
        for (let word = 0; word < text.words; word++) {
          const [first, second, third] = EXPECTED[name]!(text, picture, word);
          [first, second, third + 0.5].forEach((value, label) => {
            expect(Math.abs(result.emissions[3 * word + label]! - value)).toBeLessThan(
              1e-5 * Math.max(1, Math.abs(value)),
            );
          });
        }
        // A family without a gate has no opinion of the picture.
        expect([result.relevance, result.regions]).toEqual([null, null]);
      });
    } finally {
      await model.stop();
      await host.stop();
    }
  });

  it('and between them the toys list every input that there is', () => {
    const listed = Object.keys(EXPECTED).flatMap((name) => Object.keys(manifestOf(name).inputs));
    expect([...new Set(listed)].sort()).toEqual(Object.keys(INPUT_TABLE).sort());
  });
});

/** The first complaint of the schema, with its path. */
function complaintOf(manifest: Manifest): string {
  const issue = manifestSchema.safeParse(manifest).error?.issues[0];
  return issue ? `${issue.path.join('.')}: ${issue.message}` : 'none';
}

// biome-ignore lint/suspicious/noExplicitAny: a manifest as it lies on the disk, to be made wrong.
type Manifest = Record<string, any>;

function manifestOf(name: string): Manifest {
  return JSON.parse(readFileSync(join(TOY_BUNDLES, name, 'manifest.json'), 'utf8'));
}

describe('a manifest is refused', () => {
  const grid = manifestOf('toy-grid').inputs.grid;
  const regions = { type: 'float32', shape: ['batch', 31] };
  // A toy, what is put where in its manifest (undefined: taken out), and the complaint.
  it.each<[string, string, string, unknown, RegExp]>([
    [
      'an unknown input',
      'toy-grid',
      'inputs.caption',
      grid,
      /^inputs\.caption: nobody knows this input; there is input_ids, /,
    ],
    ['an input called as what every object has', 'toy-grid', 'inputs.valueOf', grid, /^inputs\.valueOf: nobody knows/],
    ['an input of another type', 'toy-grid', 'inputs.grid.type', 'float32', /^inputs\.grid: is float16, not float32$/],
    [
      'a batch of one',
      'toy-grid',
      'inputs.grid.shape.0',
      1,
      /^inputs\.grid: has the shape \[batch, a number, a number\], not \[1, 25, 192\]$/,
    ],
    ['an open number of cells', 'toy-grid', 'inputs.grid.shape.1', 'cells', /^inputs\.grid: has the shape/],
    ['six objects', 'toy-objects', 'inputs.boxes.shape.1', 6, /^inputs\.boxes: has the shape \[batch, at most 5, 4\]/],
    ['eleven tags', 'toy-tags', 'inputs.tags.shape.1', 11, /^inputs\.tags: has the shape \[batch, at most 10\]/],
    [
      'a picture without saying whose features',
      'toy-tags',
      'vision',
      undefined,
      /^vision: the bundle reads something of the picture/,
    ],
    ['a context of the picture, likewise', 'toy-context', 'vision', undefined, /^vision: /],
    ['a source of context that nobody has', 'toy-context', 'context.sources.0', 'captions', /^context\.sources\.0: /],
    [
      'pieces without a tokenizer',
      'toy-pieces',
      'files',
      { 'model.onnx': manifestOf('toy-pieces').files['model.onnx'] },
      /^files: tokenizer\.json is missing$/,
    ],
    ['characters without an alphabet', 'toy-characters', 'text.alphabet', undefined, /^text: chars needs an alphabet/],
    ['characters of another length', 'toy-characters', 'text.chars_per_word', 8, /^text: chars needs an alphabet/],
    ['flags that its text does not know', 'toy-characters', 'text.flags', undefined, /^text\.flags: is missing/],
    [
      'neighbours without a table',
      'toy-neighbours',
      'files',
      { 'model.onnx': manifestOf('toy-pieces').files['model.onnx'] },
      /^files: neighbours\.bin is missing/,
    ],
    ['the family of another kind', 'toy-pieces', 'family', 'vision', /^family: /],
    [
      'regions that its inputs lack',
      'toy-grid',
      'outputs.regions',
      regions,
      /^outputs\.regions: has 31 weights, not those of 25 cells, 0 objects and the scene$/,
    ],
  ])('that has %s', (_what, name, path, value, complaint) => {
    const manifest = manifestOf(name);
    const steps = path.split('.');
    const last = steps.pop() as string;
    steps.reduce((at, step) => at[step], manifest)[last] = value;
    expect(complaintOf(manifest)).toMatch(complaint);
  });

  it('but not for a context that needs no picture, nor for the numbers that it leaves out', () => {
    const { vision, context, ...manifest } = manifestOf('toy-context');
    expect(complaintOf({ ...manifest, context: { sources: ['alt_text'] } })).toBe('none');
    expect([vision, context.sources]).toEqual([expect.anything(), expect.arrayContaining(['tags'])]);
  });
});
