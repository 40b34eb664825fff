import { expect, it } from 'vitest';
import { floatToHalf } from '#mner/image/half.js';
import { checkBundle, type NerBundle } from '#mner/inference/bundle.js';
import { createFeeds } from '#mner/inference/feeds.js';
import { createLocalHost } from '#mner/inference/host-local.js';
import type { PictureInput } from '#mner/inference/row.js';
import { encoderOf } from '#mner/models.js';

const picture: PictureInput = {
  grid: Uint16Array.from({ length: 25 * 192 }, (_, i) => floatToHalf(((i * 31) % 17) / 4 - 2)),
  embedding: Uint16Array.from({ length: 384 }, (_, i) => floatToHalf(((i * 7) % 5) / 32)),
  tags: [],
  objects: [0, 1, 2, 3, 4].map((i) => ({ class: 10 * i, score: 0.5, box: [0.1, 0.2, 0.6, 0.7] as const })),
};

// That this is the text branch by itself, to the bit, is held where there is PyTorch (models/training/tests/test_ham.py).
it.each(['models/ham-int8', 'test/fixtures/bundles/ham-tiny'])(
  '%s without a picture says the same to the bit, whatever lies where a picture would, and whatever its neighbours have',
  async (folder) => {
    const bundle = (await checkBundle(folder)) as NerBundle;
    const host = createLocalHost({ models: [bundle.model], threads: 1 });
    await host.start();
    try {
      const text = encoderOf(bundle).encode(['Kobe', 'Bryant', 'visits', '#Oslo']).windows[0]!;
      const feeds = createFeeds(bundle.manifest, 0);
      const run = async (pictures: (PictureInput | null)[], image = pictures.map(Boolean)) => {
        const packed = feeds.pack(pictures.map((one) => ({ text, picture: one })));
        const flag = { type: 'float32', data: Float32Array.from(image, Number), dims: [image.length] } as const;
        return host.run(bundle.model.name, { ...packed, image: flag });
      };
      const rows = (await run([null])).emissions!.data.length;
      const alone = await run([null]);
      const hidden = await run([picture], [false]);
      const among = await run([picture, null, picture]);
      expect(hidden.emissions!.data).toEqual(alone.emissions!.data);
      expect(among.emissions!.data.slice(rows, 2 * rows)).toEqual(alone.emissions!.data);
      for (const { relevance, regions } of [alone, hidden]) {
        expect([...relevance!.data, ...regions!.data].every((value) => value === 0)).toBe(true);
      }
      // With the picture it is another row, or the test would hold for a model that looks at none.
      expect((await run([picture])).emissions!.data).not.toEqual(alone.emissions!.data);
      expect(among.relevance!.data[1]).toBe(0);
    } finally {
      await host.stop();
    }
  },
);
