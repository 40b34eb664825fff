import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { floatToHalf } from '#mner/image/half.js';
import { checkBundle, type NerBundle } from '#mner/inference/bundle.js';
import { createLocalHost } from '#mner/inference/host-local.js';
import { createNerModel } from '#mner/inference/model.js';
import type { InferenceHost } from '#mner/inference/port.js';
import type { EncodedRow, PictureInput } from '#mner/inference/row.js';
import { encoderOf } from '#mner/models.js';

interface Case {
  name: string;
  words: string[];
  context: string;
  /** How many objects the picture shows; null: there is no picture. */
  objects: number | null;
  /** [words, heads, labels] */
  emissions: number[][][];
}

const half = (size: number, value: (i: number) => number) =>
  Uint16Array.from({ length: size }, (_, i) => floatToHalf(value(i)));

/** The picture of mner/fixtures/families.py. */
const pictureOf = (objects: number): PictureInput => ({
  grid: half(25 * 192, (i) => ((i * 13) % 29) / 16 - 1),
  embedding: half(384, (i) => ((i * 5) % 11) / 64),
  tags: [],
  objects: Array.from({ length: objects }, (_, i) => ({
    class: 3 * i,
    score: (9 - i) / 16,
    box: [i / 16, i / 8, (i + 3) / 16, (i + 3) / 8] as const,
  })),
});

describe.each(['ita', 'mcg', 'bga'])('the family %s', (family) => {
  const folder = `test/fixtures/families/${family}-tiny`;
  const fixture: { tolerance: number; cases: Case[] } = JSON.parse(readFileSync(join(folder, 'cases.json'), 'utf8'));
  let bundle: NerBundle;
  let host: InferenceHost;

  beforeAll(async () => {
    bundle = (await checkBundle(folder)) as NerBundle;
    host = createLocalHost({ models: [bundle.model], threads: 1 });
    await host.start();
  });
  afterAll(() => host.stop());

  const read = async (mentions: 'ignore' | 'entity', cases: readonly Case[]) => {
    const encoder = encoderOf(bundle);
    const model = createNerModel({ host, bundle, mentions, maxPadding: 1 });
    const reads = cases.map(({ words, context, objects }) => {
      const text = encoder.encode(words, context).windows[0] as EncodedRow;
      return model.read(text, objects === null ? null : pictureOf(objects));
    });
    await model.stop();
    return Promise.all(reads);
  };

  it.each(['ignore', 'entity'] as const)('says what PyTorch says, all tweets in one batch (%s)', async (mentions) => {
    const results = await read(mentions, fixture.cases);
    const head = bundle.manifest.heads[mentions].index;
    fixture.cases.forEach((one, i) => {
      const { emissions, relevance } = results[i]!;
      const expected = one.emissions.flatMap((heads) => heads[head]!);
      expect(emissions.length).toBe(expected.length);
      const worst = Math.max(...Array.from(emissions, (value, k) => Math.abs(value - expected[k]!)));
      expect(worst).toBeLessThan(5 * fixture.tolerance);
      expect(relevance).toBeNull();
    });
  });

  it('says of a tweet alone what it says in a batch', async () => {
    const together = await read('ignore', fixture.cases);
    for (const [i, one] of fixture.cases.entries()) {
      const [alone] = await read('ignore', [one]);
      const worst = Math.max(
        ...Array.from(alone!.emissions, (value, k) => Math.abs(value - together[i]!.emissions[k]!)),
      );
      expect(worst).toBeLessThan(fixture.tolerance);
    }
  });
});
