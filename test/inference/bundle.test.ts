import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  checkBundle,
  listBundles,
  loadBundle,
  loadNerBundle,
  loadVisionBundle,
  readBundleLines,
  resolveBundle,
} from '#mner/inference/bundle.js';

describe('bundles', () => {
  let root: string;

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'mner-bundles-'));
    await cp('test/fixtures/bundles', root, { recursive: true });
    // A folder that is no bundle, as models/training is.
    await cp('test/fixtures/text', join(root, 'training'), { recursive: true });
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  const change = async (name: string, edit: (manifest: Record<string, unknown>) => void) => {
    const path = join(root, name, 'manifest.json');
    const manifest = JSON.parse(await readFile(path, 'utf8'));
    edit(manifest);
    await writeFile(path, JSON.stringify(manifest));
  };
  const variant = async (precision: string) => {
    await cp(join(root, 'ham-tiny'), join(root, `ham-${precision}`), { recursive: true });
    await change(`ham-${precision}`, (manifest) => Object.assign(manifest, { name: `ham-${precision}`, precision }));
  };

  it('are listed by name', async () => {
    expect(await listBundles(root)).toMatchObject([
      {
        name: 'ham-tiny',
        family: 'ham',
        kind: 'ner',
        precision: 'fp32',
        sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      },
      { name: 'vision-tiny', family: 'vision', kind: 'vision', version: expect.any(String) },
    ]);
  });

  it('are found by their own name, and by family in the variant that suits', async () => {
    await variant('int8');
    await variant('fp16');
    expect(await resolveBundle(root, 'ham-tiny')).toBe('ham-tiny');
    expect(await resolveBundle(root, 'ham')).toBe('ham-int8');
    expect(await resolveBundle(root, 'ham', 'gpu')).toBe('ham-fp16');
    await expect(resolveBundle(root, 'mcg')).rejects.toMatchObject({
      code: 'bad_bundle',
      message: expect.stringContaining('ham-fp16, ham-int8, ham-tiny, vision-tiny'),
    });
  });

  it('are checked whole when they are loaded', async () => {
    const bundle = await loadNerBundle(root, 'ham-tiny');
    expect(bundle.manifest.labels).toContain('B-PER');
    expect(bundle.model).toMatchObject({ name: 'ham-tiny', path: join(root, 'ham-tiny', 'model.onnx') });
    await expect(loadNerBundle(root, 'vision-tiny')).rejects.toMatchObject({ code: 'bad_bundle' });
  });

  it('go with the vision bundle that the manifest names', async () => {
    const { manifest } = await loadNerBundle(root, 'ham-tiny');
    const vision = await loadVisionBundle(root, manifest);
    expect(await readBundleLines(vision, 'objects.txt')).toHaveLength(80);
    await expect(
      loadVisionBundle(root, { ...manifest, vision: { family: 'vision', version: '9.9.9' } }),
    ).rejects.toMatchObject({ code: 'bad_bundle', message: expect.stringContaining('9.9.9') });
  });

  it.each<[string, (folder: string) => Promise<unknown>, RegExp]>([
    ['a flipped byte', (folder) => flip(join(folder, 'model.onnx')), /model\.onnx does not have the SHA-256/],
    ['a file cut short', (folder) => writeFile(join(folder, 'model.onnx'), 'x'), /model\.onnx has 1 bytes/],
    ['a missing file', (folder) => rm(join(folder, 'tokenizer.json')), /tokenizer\.json is missing/],
    [
      'a manifest that is not JSON',
      (folder) => writeFile(join(folder, 'manifest.json'), '{'),
      /manifest\.json is not JSON/,
    ],
    ['a manifest without fields', (folder) => writeFile(join(folder, 'manifest.json'), '{}'), /manifest\.json: kind/],
  ])('refuses %s, naming folder and file', async (_, damage, message) => {
    await damage(join(root, 'ham-tiny'));
    const error = await checkBundle(join(root, 'ham-tiny')).catch((thrown: Error) => thrown);
    expect(error).toMatchObject({ code: 'bad_bundle', message: expect.stringMatching(message) });
    expect((error as Error).message).toContain(join(root, 'ham-tiny'));
  });

  it.each<[string, (manifest: Record<string, unknown>) => void, string]>([
    ['another schema', (manifest) => Object.assign(manifest, { schema: 'mner-bundle/2' }), 'schema'],
    ['labels that are not BIO', (manifest) => Object.assign(manifest, { labels: ['O', 'PER'] }), 'labels'],
    ['transitions of another size', (manifest) => Object.assign(head(manifest), { transitions: [[0]] }), 'transitions'],
    ['a head that the graph lacks', (manifest) => Object.assign(head(manifest), { index: 7 }), 'index'],
    [
      'a file outside the folder',
      (manifest) => Object.assign(manifest, { files: { '../x': { sha256: '', bytes: 0 } } }),
      'files',
    ],
  ])('refuses a manifest with %s', async (_, edit, where) => {
    await change('ham-tiny', edit);
    await expect(loadBundle(root, 'ham-tiny')).rejects.toMatchObject({
      code: 'bad_bundle',
      message: expect.stringContaining(where),
    });
  });

  it('refuses a folder that is not there', async () => {
    await expect(listBundles(join(root, 'none'))).rejects.toMatchObject({ code: 'bad_bundle' });
  });
});

function head(manifest: Record<string, unknown>): object {
  return (manifest.heads as { ignore: object }).ignore;
}

async function flip(path: string): Promise<void> {
  const bytes = await readFile(path);
  bytes[1000]! ^= 1;
  await writeFile(path, bytes);
}
