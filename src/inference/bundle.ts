import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { asMnerError, MnerError } from '../errors.js';
import { type Manifest, manifestSchema, type NerManifest, type VisionManifest } from './manifest.js';
import type { HostedModel } from './port.js';

/** A bundle that was checked: its manifest fits the schema, and its files are those that the manifest names. */
export interface Bundle<M extends Manifest = Manifest> {
  readonly folder: string;
  readonly manifest: M;
  /** The graph, for the inference host; its name is the bundle's. */
  readonly model: HostedModel;
  /**
   * Every file that the manifest names, as it was checked. What is used later comes from here: on the disk it may have been replaced
   * by then, by a bundle that is yet to be loaded or by half of one.
   */
  readonly content: ReadonlyMap<string, Buffer>;
}

export type NerBundle = Bundle<NerManifest>;
export type VisionBundle = Bundle<VisionManifest>;

/** A bundle in a list, before its files are read. */
export interface BundleSummary {
  readonly name: string;
  readonly family: string;
  readonly version: string;
  readonly kind: 'ner' | 'vision' | 'bridge';
  readonly precision: 'int8' | 'fp16' | 'fp32';
  /** Of the graph, as the manifest has it. */
  readonly sha256: string;
}

/** Where models will run: it decides which precision suits. */
export type Accelerator = 'cpu' | 'gpu';

const PRECISIONS: Readonly<Record<Accelerator, readonly string[]>> = {
  cpu: ['int8', 'fp32', 'fp16'],
  gpu: ['fp16', 'fp32', 'int8'],
};

const GRAPH = 'model.onnx';

/**
 * Every bundle in a folder of bundles, by name. Folders without a manifest are none; one whose manifest cannot be read
 * costs itself alone.
 *
 * @param broken is told of each that cannot be read
 * @throws MnerError `bad_bundle` when the folder is missing
 */
export async function listBundles(
  root: string,
  broken: (error: MnerError) => void = () => {},
): Promise<BundleSummary[]> {
  const summaries: BundleSummary[] = [];
  for (const name of await bundleNames(root)) {
    try {
      const { manifest } = await readManifest(join(root, name));
      const { family, version, kind, precision, files } = manifest;
      summaries.push({ name, family, version, kind, precision, sha256: files[GRAPH]?.sha256 ?? '' });
    } catch (error) {
      broken(asMnerError(error));
    }
  }
  return summaries;
}

/**
 * The name of the bundle that a name means: itself when there is such a folder, otherwise the variant of that family that
 * suits the machine.
 *
 * @throws MnerError `bad_bundle` with the names that there are
 */
export async function resolveBundle(root: string, name: string, accelerator: Accelerator = 'cpu'): Promise<string> {
  const names = await bundleNames(root);
  if (names.includes(name)) return name;
  const variants = (await listBundles(root)).filter(({ family }) => family === name);
  const best = variants.sort((a, b) => rank(a.precision, accelerator) - rank(b.precision, accelerator))[0];
  if (best) return best.name;
  throw new MnerError('bad_bundle', `There is no bundle ${name} in ${root}; there is ${names.join(', ') || 'none'}.`);
}

/**
 * Resolves a name, reads the bundle and checks it whole.
 *
 * @throws MnerError `bad_bundle`
 */
export async function loadBundle(root: string, name: string, accelerator: Accelerator = 'cpu'): Promise<Bundle> {
  const folder = join(root, await resolveBundle(root, name, accelerator));
  return checkBundle(folder);
}

/** @throws MnerError `bad_bundle`, also when the bundle is of another kind */
export async function loadNerBundle(root: string, name: string, accelerator: Accelerator = 'cpu'): Promise<NerBundle> {
  const bundle = await loadBundle(root, name, accelerator);
  if (bundle.manifest.kind !== 'ner') throw bad(bundle.folder, `is of kind ${bundle.manifest.kind}, not ner`);
  return { ...bundle, manifest: bundle.manifest };
}

/**
 * The vision bundle whose features a model has seen: family and version as its manifest says.
 *
 * @throws MnerError `bad_bundle`
 */
export async function loadVisionBundle(
  root: string,
  model: NerManifest,
  accelerator: Accelerator = 'cpu',
): Promise<VisionBundle> {
  if (!model.vision) throw new MnerError('bad_bundle', `The manifest of ${model.name} names no vision bundle.`);
  const { family, version } = model.vision;
  const summaries = (await listBundles(root))
    .filter((one) => one.kind === 'vision' && one.family === family && one.version === version)
    .sort((a, b) => rank(a.precision, accelerator) - rank(b.precision, accelerator));
  const summary = summaries[0];
  if (!summary) {
    throw new MnerError(
      'bad_bundle',
      `${model.name} needs a ${family} bundle of version ${version}; ${root} has none.`,
    );
  }
  const bundle = await checkBundle(join(root, summary.name));
  if (bundle.manifest.kind !== 'vision') throw bad(bundle.folder, `is of kind ${bundle.manifest.kind}, not vision`);
  return { ...bundle, manifest: bundle.manifest };
}

/**
 * Reads one bundle's folder: the manifest's schema, then size and SHA-256 of every file.
 *
 * @throws MnerError `bad_bundle`, naming the folder, the file and what is wrong with it
 */
export async function checkBundle(folder: string): Promise<Bundle> {
  const { manifest } = await readManifest(folder);
  if (!manifest.files[GRAPH]) throw bad(folder, `manifest.json lists no ${GRAPH}`);
  const content = new Map<string, Buffer>();
  for (const [file, expected] of Object.entries(manifest.files)) {
    const path = join(folder, file);
    const size = await stat(path).then(
      (found) => (found.isFile() ? found.size : null),
      () => null,
    );
    if (size === null) throw bad(folder, `${file} is missing`);
    if (size !== expected.bytes) throw bad(folder, `${file} has ${size} bytes, not ${expected.bytes}`);
    const { bytes, sha256 } = await readHashed(path, size);
    if (sha256 !== expected.sha256) throw bad(folder, `${file} does not have the SHA-256 of the manifest`);
    content.set(file, bytes);
  }
  const model = {
    name: manifest.name,
    path: join(folder, GRAPH),
    graph: content.get(GRAPH) as Buffer,
    inputs: manifest.inputs,
    outputs: manifest.outputs,
  };
  return { folder, manifest, model, content };
}

/** What tells a bundle from every other: a digest of its manifest, where the SHA-256 of each of its files stands too. */
export function identityOf({ manifest }: Pick<Bundle, 'manifest'>): string {
  return createHash('sha256').update(JSON.stringify(manifest)).digest('hex');
}

/** A JSON file of a bundle. @throws MnerError `bad_bundle` */
export function readBundleJson(bundle: Bundle, file: string): object {
  let value: unknown;
  try {
    value = JSON.parse(fileOf(bundle, file));
  } catch (error) {
    throw error instanceof MnerError ? error : bad(bundle.folder, `${file} is not JSON`, error);
  }
  if (typeof value === 'object' && value !== null) return value;
  throw bad(bundle.folder, `${file} holds no object`);
}

/** A list of a bundle, one entry a line. @throws MnerError `bad_bundle` */
export function readBundleLines(bundle: Bundle, file: string): string[] {
  return fileOf(bundle, file)
    .split('\n')
    .filter((line) => line !== '');
}

/** A file of a bundle, whole. @throws MnerError `bad_bundle` */
export function readBundleBytes({ folder, content }: Bundle, file: string): Buffer {
  const bytes = content.get(file);
  if (!bytes) throw bad(folder, `manifest.json lists no ${file}`);
  return bytes;
}

function fileOf(bundle: Bundle, file: string): string {
  return readBundleBytes(bundle, file).toString('utf8');
}

async function readManifest(folder: string): Promise<{ manifest: Manifest }> {
  const content = await readFile(join(folder, 'manifest.json'), 'utf8').catch((error: unknown) => {
    throw bad(folder, 'manifest.json cannot be read', error);
  });
  let json: unknown;
  try {
    json = JSON.parse(content);
  } catch (error) {
    throw bad(folder, 'manifest.json is not JSON', error);
  }
  const parsed = manifestSchema.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw bad(folder, `manifest.json: ${issue?.path.join('.') || 'it'}: ${issue?.message ?? 'does not fit'}`);
  }
  return { manifest: parsed.data };
}

async function bundleNames(root: string): Promise<string[]> {
  const entries = await readdir(root, { withFileTypes: true }).catch((error: unknown) => {
    throw new MnerError('bad_bundle', `The folder of bundles ${root} cannot be read.`, { cause: error });
  });
  const names: string[] = [];
  for (const entry of entries) {
    const manifest = await stat(join(root, entry.name, 'manifest.json')).catch(() => null);
    if (manifest?.isFile()) names.push(entry.name);
  }
  return names.sort();
}

/** A file and its digest, in pieces, so that whatever else runs here is not held up. */
async function readHashed(path: string, size: number): Promise<{ bytes: Buffer; sha256: string }> {
  const hash = createHash('sha256');
  const pieces: Buffer[] = [];
  for await (const piece of createReadStream(path, { highWaterMark: 1 << 20 })) {
    hash.update(piece as Buffer);
    pieces.push(piece as Buffer);
  }
  return { bytes: Buffer.concat(pieces, size), sha256: hash.digest('hex') };
}

function rank(precision: string, accelerator: Accelerator): number {
  return PRECISIONS[accelerator].indexOf(precision);
}

function bad(folder: string, what: string, cause?: unknown): MnerError {
  return new MnerError('bad_bundle', `The bundle ${folder} cannot be used: ${what}.`, { cause });
}
