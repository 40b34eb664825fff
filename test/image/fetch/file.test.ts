import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
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

it('a pipe that nobody writes to is no file: it is not waited for', async () => {
  const pipe = join(folder, 'pipe');
  await promisify(execFile)('mkfifo', [pipe]);
  expect(await readPictureFile(pathToFileURL(pipe))).toEqual({ status: 'unreachable', detail: 'this is no file' });
});

it.runIf(process.platform === 'linux')('a file that is longer than it says is cut off at the limit', async () => {
  // The kernel says that it has no bytes at all.
  const url = new URL('file:///proc/self/maps');
  expect(await readPictureFile(url, 100)).toMatchObject({ status: 'too_large' });
  expect(await readPictureFile(url)).toMatchObject({ status: 'ok' });
});
