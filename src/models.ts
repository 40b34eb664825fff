import type { Config } from './config/schema.js';
import { MnerError } from './errors.js';
import type { VisionShape } from './image/vision-shape.js';
import {
  loadNerBundle,
  loadVisionBundle,
  type NerBundle,
  readBundleJson,
  type VisionBundle,
} from './inference/bundle.js';
import type { HostedModel } from './inference/port.js';

/** The bundles that a worker runs, checked, and what the inference host has to load. */
export interface Models {
  readonly ner: NerBundle;
  readonly tokenizer: object;
  readonly vision: VisionBundle;
  readonly hosted: readonly HostedModel[];
}

/** @throws MnerError `bad_bundle` */
export async function loadModels(config: Pick<Config, 'bundle' | 'models_dir' | 'providers'>): Promise<Models> {
  const accelerator = config.providers[0] === 'cpu' ? 'cpu' : 'gpu';
  const ner = await loadNerBundle(config.models_dir, config.bundle, accelerator);
  const vision = await loadVisionBundle(config.models_dir, ner.manifest, accelerator);
  return {
    ner,
    tokenizer: await readBundleJson(ner, 'tokenizer.json'),
    vision,
    hosted: [ner.model, { ...vision.model, name: 'vision' }],
  };
}

/** What the image room has to know of the vision bundle. @throws MnerError `bad_bundle` when a shape is not as docs/bundles.md has it */
export function visionShape({ folder, manifest }: VisionBundle): VisionShape {
  const fixed = (list: typeof manifest.inputs, name: string, axis: number): number => {
    const size = list[name]?.shape[axis];
    if (typeof size === 'number') return size;
    throw new MnerError(
      'bad_bundle',
      `The bundle ${folder} cannot be used: axis ${axis} of ${name} has no fixed size.`,
    );
  };
  return {
    version: `${manifest.name}@${manifest.version}`,
    size: fixed(manifest.inputs, 'pixels', 1),
    cells: fixed(manifest.outputs, 'grid', 1),
    cellWidth: fixed(manifest.outputs, 'grid', 2),
    embeddingWidth: fixed(manifest.outputs, 'embedding', 1),
  };
}
