import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { TINY_BUNDLES } from '../support/servers.js';

const PROGRAM = `
  const { openSessions } = await import(process.argv[1]);
  const model = { name: 'tiny', path: process.argv[2] };
  const sessions = await openSessions([model], { providers: ['cpu'], fallback: 'next', threads: 1 });
  console.log(sessions.provider);
  await sessions.release();
`;

it('ONNX Runtime kept a device id and events for its makers: a session leaves nothing on the disk, and so has nothing to send', async () => {
  const home = await mkdtemp(join(tmpdir(), 'mner-home-'));
  try {
    const { PATH } = process.env;
    const args = ['--input-type=module', '-e', PROGRAM, join(process.cwd(), 'dist/inference/sessions.js')];
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [...args, join(TINY_BUNDLES, 'ham-tiny', 'model.onnx')],
      { cwd: home, env: { PATH, HOME: home } },
    );
    expect(stdout).toBe('cpu\n');
    expect(await readdir(home, { recursive: true })).toEqual([]);
  } finally {
    await rm(home, { recursive: true });
  }
});
