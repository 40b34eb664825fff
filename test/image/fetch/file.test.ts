import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readPictureFile } from '#mner/image/fetch/file.js';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mner-file-'));
});
afterAll(() => rm(folder, { recursive: true }));

it('reads a file up to its limit', async () => {
  const url = pathToFileURL(join(folder, 'a picture.jpg'));
  await writeFile(url, 'bytes');
  expect(await readPictureFile(url, 5)).toEqual({ status: 'ok', bytes: Buffer.from('bytes') });
  expect(await readPictureFile(url, 4)).toMatchObject({ status: 'too_large' });
});

it('says what is not there, and what is no file', async () => {
  expect(await readPictureFile(pathToFileURL(join(folder, 'none')))).toMatchObject({ status: 'not_found' });
  expect(await readPictureFile(pathToFileURL(folder))).toMatchObject({ status: 'unreachable' });
  expect(await readPictureFile(new URL('file:///dev/zero'))).toMatchObject({ status: 'unreachable' });
  expect(await readPictureFile(new URL('file://another.host/a'))).toMatchObject({ status: 'unreachable' });
});
