import type { Config } from './config/schema.js';
import { MnerError } from './errors.js';
import type { VisionShape } from './image/vision-shape.js';
import {
  identityOf,
  loadNerBundle,
  loadVisionBundle,
  type NerBundle,
  readBundleBytes,
  readBundleJson,
  type VisionBundle,
} from './inference/bundle.js';
import { NEIGHBOURS_FILE, seesPicture, TOKENIZER_FILE } from './inference/manifest.js';
import type { HostedModel } from './inference/port.js';
import { createEncoder, type Encoder } from './text/encode.js';
import { readNeighbours } from './text/neighbours.js';

/** The bundles that a worker runs, checked, and what the inference host has to load. */
export interface Models {
  readonly ner: NerBundle;
  /** Null where the model reads no picture. */
  readonly vision: VisionBundle | null;
  readonly hosted: readonly HostedModel[];
}

/** The vision encoder's name in the inference host. */
export const VISION = 'vision';

/** @throws MnerError `bad_bundle` */
export async function loadModels(config: Pick<Config, 'bundle' | 'models_dir' | 'providers' | 'ocr'>): Promise<Models> {
  const accelerator = config.providers[0] === 'cpu' ? 'cpu' : 'gpu';
  const ner = await loadNerBundle(config.models_dir, config.bundle, accelerator);
  // One call of the vision encoder gives all that any family reads, so the fleet shares what it knows of a picture.
  const vision = seesPicture(ner.manifest, config.ocr === 'on')
    ? await loadVisionBundle(config.models_dir, ner.manifest, accelerator)
    : null;
  if (vision) checkFeatures(ner, vision);
  return {
    ner,
    vision,
    hosted: [ner.model, ...(vision ? [{ ...vision.model, name: VISION }] : [])],
  };
}

/**
 * The bundles of the canary; null where there is none.
 *
 * @throws MnerError `bad_bundle`, also when it is the bundle that it should be tried against
 */
export async function loadCanary(config: Config, { ner }: Models): Promise<Models | null> {
  if (config.canary_bundle === null) return null;
  const canary = await loadModels({ ...config, bundle: config.canary_bundle });
  if (canary.ner.folder !== ner.folder) return canary;
  throw new MnerError(
    'bad_bundle',
    `canary_bundle (${config.canary_bundle}) and bundle (${config.bundle}) both mean ${ner.manifest.name}; a canary is another bundle.`,
  );
}

/** What differs when anything of the bundles does. */
export function identityOfModels({ ner, vision }: Models): string {
  return [ner, ...(vision ? [vision] : [])].map(identityOf).join('/');
}

/** How the inference process opens its sessions, and how long one call may take. */
export function hostOptions(config: Config) {
  return {
    providers: config.providers,
    fallback: config.providers_fallback,
    threads: config.threads,
    runTimeoutMs: config.inference_timeout_ms,
  };
}

/** Whether the words in pictures are read for this model. */
export function readsWords({ manifest }: NerBundle, { ocr }: Pick<Config, 'ocr'>): boolean {
  return ocr === 'on' && manifest.context?.sources.includes('words') === true;
}

/** By the files that they were made of: a tokenizer is large, and every test and trial of a bundle wants one before it works. */
const encoders = new WeakMap<NerBundle['content'], Encoder>();

/**
 * What turns words into a bundle's numbers; the same for whoever asks.
 *
 * @throws MnerError `bad_bundle` when its tokenizer or its neighbours cannot be read
 */
export function encoderOf(bundle: NerBundle): Encoder {
  const made = encoders.get(bundle.content) ?? makeEncoder(bundle);
  encoders.set(bundle.content, made);
  return made;
}

function makeEncoder(bundle: NerBundle): Encoder {
  const { inputs, text, context } = bundle.manifest;
  const near = inputs.neighbours ?? inputs.neighbour_weights;
  return createEncoder({
    tokenizer: bundle.content.has(TOKENIZER_FILE) ? readBundleJson(bundle, TOKENIZER_FILE) : null,
    settings: text,
    rowPieces: context?.max_pieces,
    neighbours: near ? readNeighbours(readBundleBytes(bundle, NEIGHBOURS_FILE)) : null,
  });
}

/** A model takes a picture's features as the vision encoder gives them. @throws MnerError `bad_bundle` where their shapes differ */
function checkFeatures(
  { folder, manifest: { inputs } }: NerBundle,
  { manifest: { name, outputs } }: VisionBundle,
): void {
  for (const feature of ['grid', 'embedding']) {
    const [, ...wanted] = inputs[feature]?.shape ?? [];
    const [, ...given] = outputs[feature]?.shape ?? [];
    if (wanted.length === 0 || wanted.join() === given.join()) continue;
    throw new MnerError(
      'bad_bundle',
      `The bundle ${folder} cannot be used: it takes ${feature} as [${wanted.join(', ')}], and ${name} gives [${given.join(', ')}].`,
    );
  }
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
