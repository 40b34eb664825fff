import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Bundle, checkBundle } from '#mner/inference/bundle.js';
import { createLocalHost } from '#mner/inference/host-local.js';
import { SELF_TEST, selfTest } from '#mner/serving/self-test.js';
import { type BundleFolder, bundleFolder } from './bundles.js';

/** Puts a bundle to its own test, in sessions of its own. */
async function test(bundle: Bundle): Promise<number> {
  const host = createLocalHost({ models: [bundle.model], threads: 1 });
  try {
    await host.start();
    return await selfTest(bundle, host, bundle.model.name);
  } finally {
    await host.stop();
  }
}

describe('the self-test of a bundle', () => {
  // What Python's ONNX Runtime said of the same inputs where they were exported.
  it.each([
    ['models/ham-int8', 3],
    ['models/ita-int8', 3],
    ['models/mcg-int8', 3],
    ['models/bga-int8', 2],
    ['models/vision-int8', 1],
    ['test/fixtures/bundles/ham-tiny', 3],
    ['test/fixtures/bundles/vision-tiny', 1],
    ['test/fixtures/faulty/ham-faulty', 2],
  ])('%s passes', async (folder, cases) => {
    expect(await test(await checkBundle(folder))).toBe(cases);
  });

  describe('that has something wrong with it', () => {
    let bundles: BundleFolder;
    beforeEach(() => {
      bundles = bundleFolder();
    });
    afterEach(() => bundles.remove());

    const rewrite = (content: string) => {
      writeFileSync(join(bundles.root, 'ham-tiny', SELF_TEST), content);
      bundles.release('ham-tiny', '0.0.2', (manifest) => {
        delete manifest.files[SELF_TEST];
      });
    };
    const tiny = async (content: string): Promise<Bundle> => {
      rewrite(content);
      const bundle = await checkBundle(join(bundles.root, 'ham-tiny'));
      return { ...bundle, content: new Map([...bundle.content, [SELF_TEST, Buffer.from(content)]]) };
    };
    const one = (outputs: object, words: readonly string[] = ['Anna']) =>
      JSON.stringify({ schema: 'mner-selftest/1', tolerance: 0.01, cases: [{ words, outputs }] });

    it('is none where the bundle has none', async () => {
      const folder = join(bundles.root, 'ham-tiny');
      rmSync(join(folder, SELF_TEST));
      bundles.release('ham-tiny', '0.0.2', (manifest) => {
        delete manifest.files[SELF_TEST];
      });
      expect(await test(await checkBundle(folder))).toBe(0);
    });

    it('fails where the graph has other weights, and says by how much', async () => {
      bundles.retrain('ham-tiny');
      await expect(test(await checkBundle(join(bundles.root, 'ham-tiny')))).rejects.toMatchObject({
        code: 'bad_bundle',
      });
    });

    it.each<[string, string, RegExp]>([
      ['another schema', JSON.stringify({ schema: 'x', tolerance: 1, cases: [] }), /selftest\.json is not as/],
      ['an output of another size', one({ emissions: [0] }), /case 1: emissions has another size/],
      ['an output that the graph does not have', one({ nothing: [0] }), /case 1: nothing has another size/],
      [
        'other numbers',
        one({ emissions: Array(18).fill(1000) }),
        /case 1: emissions is off by 1\.0e\+3, at most 0\.01/,
      ],
    ])('fails with %s', async (_, content, message) => {
      await expect(test(await tiny(content))).rejects.toMatchObject({
        code: 'bad_bundle',
        message: expect.stringMatching(message),
      });
    });
  });
});
