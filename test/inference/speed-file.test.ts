import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { recallTuning, rememberTuning, speedFilePath } from '#mner/inference/speed-file.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mner-cache-'));
});
afterAll(() => rm(folder, { recursive: true }));

const pathIn = (name: string) => speedFilePath({ XDG_CACHE_HOME: join(folder, name) })!;
const found = { tokens: 512, processes: 1, threads: 2, provider: 'cpu' };

describe('the file of what was found fastest', () => {
  it('remembers by key, whatever else stands there', async () => {
    const path = pathIn('both');
    expect(path).toMatch(/both\/mner-stream\/calibration\.json$/);
    expect(await recallTuning(path, 'a')).toBeNull();
    expect(await rememberTuning(path, 'a', found, 0)).toBe(true);
    expect(await rememberTuning(path, 'b', { tokens: 1024, processes: 1, threads: 1, provider: 'webgpu' }, 1)).toBe(
      true,
    );
    expect(await recallTuning(path, 'a')).toMatchObject(found);
    expect(await recallTuning(path, 'b')).toMatchObject({ tokens: 1024, processes: 1, threads: 1, provider: 'webgpu' });
    expect(await recallTuning(path, 'toString')).toBeNull();
    expect(await readdir(dirname(path))).toEqual(['calibration.json']);
  });

  it('does not grow for ever: the oldest go first', async () => {
    const path = pathIn('many');
    for (let i = 0; i < 70; i++) await rememberTuning(path, `key ${i}`, found, i);
    const all = Object.keys(JSON.parse(await readFile(path, 'utf8')).found);
    expect(all).toHaveLength(64);
    expect(all[0]).toBe('key 6');
  });

  it.each(['', '{', '[]', '{"schema":"other/1"}', '{"schema":"mner-calibration/3","found":{"a":{"tokens":-1}}}'])(
    'is as good as none when it holds %j, and is written anew',
    async (content) => {
      const path = pathIn('broken');
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, content);
      expect(await recallTuning(path, 'a')).toBeNull();
      expect(await rememberTuning(path, 'a', found, 0)).toBe(true);
      expect(await recallTuning(path, 'a')).toMatchObject(found);
    },
  );

  it('is no fault where it cannot be: a file in the place of the folder, no home at all', async () => {
    await writeFile(join(folder, 'file'), '');
    const path = pathIn('file');
    expect(await recallTuning(path, 'a')).toBeNull();
    expect(await rememberTuning(path, 'a', found, 0)).toBe(false);
    expect(await rememberTuning(null, 'a', found, 0)).toBe(false);
    expect(await recallTuning(null, 'a')).toBeNull();
  });
});
