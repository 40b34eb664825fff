import { fileURLToPath } from 'node:url';
import type { VisionShape } from '#mner/image/vision-shape.js';
import { createLocalHost } from '#mner/inference/host-local.js';
import type { InferenceHost, Tensors } from '#mner/inference/port.js';

/** The shapes of test/fixtures/bundles/vision-tiny, whose answers follow from the colours of a picture. */
export const TINY: VisionShape = {
  version: 'vision-tiny 1.0.0',
  size: 64,
  cells: 25,
  cellWidth: 192,
  embeddingWidth: 384,
};

/** A started host with the tiny vision bundle, which counts the pictures of each call. */
export interface CountingHost extends InferenceHost {
  readonly batches: readonly number[];
}

export async function tinyVision(): Promise<CountingHost> {
  const path = fileURLToPath(new URL('../fixtures/bundles/vision-tiny/model.onnx', import.meta.url));
  const host = createLocalHost({ models: [{ name: 'vision', path }] });
  await host.start();
  const batches: number[] = [];
  return {
    batches,
    provider: host.provider,
    start: () => host.start(),
    stop: () => host.stop(),
    run(model: string, feeds: Tensors) {
      batches.push(feeds.pixels?.dims[0] ?? 0);
      return host.run(model, feeds);
    },
  };
}
