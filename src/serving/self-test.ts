import { z } from 'zod';
import { asMnerError, MnerError } from '../errors.js';
import { floatToHalf, halfToFloat } from '../image/half.js';
import { type Bundle, readBundleJson } from '../inference/bundle.js';
import { createFeeds } from '../inference/feeds.js';
import type { NerManifest, Signature } from '../inference/manifest.js';
import type { InferenceHost, Tensor, Tensors } from '../inference/port.js';
import type { EncodedRow, PictureInput } from '../inference/row.js';
import { encoderOf } from '../models.js';

/** The file in a bundle that holds inputs and what the graph made of them where it was built (docs/bundles.md). */
export const SELF_TEST = 'selftest.json';

const schema = z.object({
  schema: z.literal('mner-selftest/1'),
  tolerance: z.number().positive(),
  cases: z
    .array(
      z.object({
        words: z.array(z.string()).min(1).optional(),
        context: z.string().optional(),
        picture: z.boolean().optional(),
        outputs: z.record(z.string(), z.array(z.number()).min(1)),
      }),
    )
    .min(1),
});

/**
 * Gives a bundle's graph the inputs of its self-test, and compares what comes out.
 *
 * @param host started, with the bundle's graph under the name `model`
 * @returns the number of cases; 0 for a bundle without a self-test
 * @throws MnerError `bad_bundle` when the graph says something else here, or does not run
 */
export async function selfTest(bundle: Bundle, host: InferenceHost, model: string): Promise<number> {
  if (!bundle.content.has(SELF_TEST)) return 0;
  const wrong = (what: string, cause?: unknown) =>
    new MnerError('bad_bundle', `The bundle ${bundle.folder} fails its self-test: ${what}.`, { cause });
  const parsed = schema.safeParse(readBundleJson(bundle, SELF_TEST));
  if (!parsed.success) throw wrong(`${SELF_TEST} is not as docs/bundles.md has it`, parsed.error);
  const { tolerance, cases } = parsed.data;
  const feedsOf = feedsFor(bundle);
  for (const [i, { words, context = '', picture = false, outputs }] of cases.entries()) {
    const found = await host.run(model, feedsOf(words ?? [], context, picture)).catch((thrown: unknown) => {
      const error = asMnerError(thrown);
      throw error.code === 'inference_poison' ? wrong(`case ${i + 1} does not run (${error.message})`, error) : error;
    });
    for (const [name, expected] of Object.entries(outputs)) {
      const difference = differenceOf(found[name], expected);
      if (difference <= tolerance) continue;
      throw wrong(
        Number.isFinite(difference)
          ? `case ${i + 1}: ${name} is off by ${difference.toPrecision(2)}, at most ${tolerance} is allowed`
          : `case ${i + 1}: ${name} has another size, or holds something that is no number`,
      );
    }
  }
  return cases.length;
}

/** The largest of all differences; infinite when there are not as many values. */
function differenceOf(tensor: Tensor | undefined, expected: readonly number[]): number {
  if (tensor?.data.length !== expected.length) return Number.POSITIVE_INFINITY;
  let most = 0;
  expected.forEach((value, i) => {
    const raw = Number(tensor.data[i]);
    const difference = Math.abs((tensor.type === 'float16' ? halfToFloat(raw) : raw) - value);
    most = Math.max(most, Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference);
  });
  return most;
}

function feedsFor(bundle: Bundle): (words: readonly string[], context: string, picture: boolean) => Tensors {
  const { manifest } = bundle;
  if (manifest.kind !== 'ner') return () => pixelsFor(manifest.inputs);
  const encoder = encoderOf({ ...bundle, manifest });
  const feeds = createFeeds(manifest, 0);
  return (words, context, picture) => {
    const [text] = encoder.encode(words, context).windows;
    return feeds.pack([{ text: text as EncodedRow, picture: picture ? pictureFor(manifest) : null }]);
  };
}

/** Features of no picture at all, by a rule that Python and we share: every value is exact in half precision. */
function pictureFor({ inputs }: NerManifest): PictureInput {
  return {
    grid: halves(sizeOf(inputs, 'grid'), (i) => (((i * 31) % 17) - 8) / 8),
    embedding: halves(sizeOf(inputs, 'embedding'), (i) => (((i * 7) % 5) - 2) / 32),
    tags: [{ tag: 0, score: 0.5 }],
    objects: [{ class: 0, score: 0.5, box: [0.25, 0.25, 0.75, 0.75] }],
  };
}

function pixelsFor(inputs: Signature): Tensors {
  const data = Uint8Array.from({ length: sizeOf(inputs, 'pixels') }, (_, i) => (i * 31) % 251);
  const [, ...dims] = inputs.pixels?.shape ?? [];
  return { pixels: { type: 'uint8', data, dims: [1, ...dims.map(Number)] } };
}

function halves(size: number, value: (i: number) => number): Uint16Array {
  return Uint16Array.from({ length: size }, (_, i) => floatToHalf(value(i)));
}

/** Values of one row. */
function sizeOf(inputs: Signature, name: string): number {
  const [, ...dims] = inputs[name]?.shape ?? [];
  return dims.reduce<number>((product, size) => product * Number(size), 1);
}
