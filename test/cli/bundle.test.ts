import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { TINY, TINY_BUNDLES } from '../support/servers.js';
import { mner } from '../support/worker-process.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'mner-bundle-'));
  cpSync(join(TINY_BUNDLES, 'vision-tiny'), join(folder, 'vision-tiny'), { recursive: true });
  writeFileSync(join(folder, 'vision-tiny', 'tags.txt'), 'other\n', { flag: 'a' });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('list prints every bundle, as a table and as JSON', async () => {
  const [table, json] = await Promise.all([
    mner(['bundle', 'list'], { env: TINY }),
    mner(['bundle', 'list', '--json'], { env: TINY }),
  ]);
  expect([table.code, json.code]).toEqual([0, 0]);
  const sha256 = expect.stringMatching(/^[0-9a-f]{64}$/);
  expect(JSON.parse(json.stdout)).toEqual([
    { name: 'ham-tiny', family: 'ham', version: '0.0.1', kind: 'ner', precision: 'fp32', sha256 },
    { name: 'vision-tiny', family: 'vision', version: '0.0.1', kind: 'vision', precision: 'fp32', sha256 },
  ]);
  expect(table.stdout.split('\n')[0]).toMatch(/^NAME +FAMILY +VERSION +KIND +PRECISION +SHA-256$/);
  expect(table.stdout).toMatch(/^ham-tiny +ham +0\.0\.1 +ner +fp32 +[0-9a-f]{12}$/m);
});

it('show prints the manifest; a family names its bundle', async () => {
  const { code, stdout } = await mner(['bundle', 'show', 'ham', '--json'], { env: TINY });
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ schema: 'mner-bundle/1', name: 'ham-tiny', kind: 'ner' });
});

it('verify checks every file, and names the one that was altered', async () => {
  const [good, one, bad] = await Promise.all([
    mner(['bundle', 'verify', '--json'], { env: TINY }),
    mner(['bundle', 'verify', 'vision-tiny'], { env: TINY }),
    mner(['bundle', 'verify'], { env: { ...TINY, MNER_MODELS_DIR: folder } }),
  ]);
  expect([good.code, one.code]).toEqual([0, 0]);
  expect(
    good.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line)),
  ).toEqual([
    { name: 'ham-tiny', ok: true, self_test: 3 },
    { name: 'vision-tiny', ok: true, self_test: 1 },
  ]);
  expect(one.stdout).toMatch(/^vision-tiny: \d+ files as the manifest has them; the self-test passes \(1 case\)\n$/);
  expect(bad).toEqual({
    code: 3,
    stdout: '',
    stderr: expect.stringMatching(/^mner: .*vision-tiny.*tags\.txt has .*\n$/),
  });
});
