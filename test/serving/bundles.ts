import { createHash } from 'node:crypto';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FAULTY, TINY_BUNDLES } from '../support/servers.js';

/** A folder of bundles that a test may change; they are not read from the disk before `loadModels`. */
export interface BundleFolder {
  readonly root: string;
  /** Puts a new version in a bundle's place: its labels name other types, so that its entities tell it from others. */
  release(name: string, version: string, change?: (manifest: Manifest) => void): void;
  /** Flips one bit of a graph. */
  corrupt(name: string): void;
  /** Changes weights, and the manifest with them: a bundle that is whole, and knows something else than what it was tested for. */
  retrain(name: string): void;
  remove(): void;
}

// biome-ignore lint/suspicious/noExplicitAny: a manifest as it lies on the disk, to be made wrong.
type Manifest = Record<string, any>;

const TYPES = ['PER', 'LOC', 'ORG', 'MISC'];

/** `ham-faulty`, a copy of it by the name `ham-canary`, `ham-tiny` and `vision-tiny`. */
export function bundleFolder(): BundleFolder {
  const root = mkdtempSync(join(tmpdir(), 'mner-bundles-'));
  cpSync(TINY_BUNDLES, root, { recursive: true });
  cpSync(FAULTY.MNER_MODELS_DIR, root, { recursive: true });
  cpSync(join(root, 'ham-faulty'), join(root, 'ham-canary'), { recursive: true });
  const edit = (name: string, change: (manifest: Manifest) => void) => {
    const path = join(root, name, 'manifest.json');
    const manifest = JSON.parse(readFileSync(path, 'utf8')) as Manifest;
    change(manifest);
    writeFileSync(path, JSON.stringify(manifest));
  };
  edit('ham-canary', (manifest) => {
    manifest.name = 'ham-canary';
  });
  return {
    root,
    release(name, version, change = turnTypes) {
      edit(name, (manifest) => {
        manifest.version = version;
        change(manifest);
      });
    },
    corrupt(name) {
      const path = join(root, name, 'model.onnx');
      const bytes = readFileSync(path);
      const middle = bytes.length >> 1;
      bytes[middle] = (bytes[middle] as number) ^ 1;
      writeFileSync(path, bytes);
    },
    retrain(name) {
      const path = join(root, name, 'model.onnx');
      const bytes = readFileSync(path);
      // Half of a table of float32 numbers: each gets another exponent.
      for (let at = bytes.length >> 2; at < bytes.length >> 1; at++) bytes[at] = (bytes[at] as number) ^ 1;
      writeFileSync(path, bytes);
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      edit(name, (manifest) => {
        manifest.files['model.onnx'] = { sha256, bytes: bytes.length };
      });
    },
    remove: () => rmSync(root, { recursive: true, force: true }),
  };
}

/** What was a person is a place, and so on. */
function turnTypes(manifest: Manifest): void {
  manifest.labels = manifest.labels.map((label: string) =>
    label.replace(/[A-Z]{3,}$/, (type) => TYPES[(TYPES.indexOf(type) + 1) % TYPES.length] as string),
  );
}
