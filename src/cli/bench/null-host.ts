import type { NerManifest } from '../../inference/manifest.js';
import type { InferenceHost, Tensor, Tensors } from '../../inference/port.js';

/** An inference host that answers at once, with zeros in the shapes that the manifest promises. */
export function nullHost({ inputs, outputs }: NerManifest): InferenceHost {
  /** The named dimensions of a call, as its feeds have them. */
  const sizesOf = (feeds: Tensors): Map<string, number> => {
    const sizes = new Map<string, number>();
    for (const [name, { shape }] of Object.entries(inputs)) {
      shape.forEach((dimension, i) => {
        if (typeof dimension === 'string') sizes.set(dimension, feeds[name]?.dims[i] ?? 0);
      });
    }
    return sizes;
  };
  return {
    provider: 'none',
    async start() {},
    async stop() {},
    async run(_model, feeds, begun) {
      begun?.();
      const sizes = sizesOf(feeds);
      const zeros = ({ shape }: NerManifest['outputs'][string]): Tensor => {
        const dims = shape.map((dimension) =>
          typeof dimension === 'number' ? dimension : (sizes.get(dimension) ?? 0),
        );
        const length = dims.reduce((product, size) => product * size, 1);
        return { type: 'float32', data: new Float32Array(length), dims };
      };
      return Object.fromEntries(Object.entries(outputs).map(([name, output]) => [name, zeros(output)]));
    },
  };
}
