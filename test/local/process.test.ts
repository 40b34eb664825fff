import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { spawnGuarded } from '#mner/local/process.js';
import { exists, gone } from './support.js';

const ROOT = resolve(import.meta.dirname, '../..');

let scratch = '';
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'mner-process-'));
});
afterEach(() => {
  rmSync(scratch, { recursive: true, force: true });
});

describe('a guarded process', () => {
  it('tells its exit code and its last lines', async () => {
    const guarded = await spawnGuarded('sh', ['-c', 'echo one; echo two >&2; exit 3']);
    expect(await guarded.ended).toBe(3);
    expect(guarded.tail().sort()).toEqual(['one', 'two']);
    expect(guarded.running()).toBe(false);
  });

  it('ends with 127 when there is no such program', async () => {
    const guarded = await spawnGuarded(join(scratch, 'nothing'), []);
    expect(await guarded.ended).toBe(127);
  });

  it('reports a line that it said, before or after it was asked for, and null when it ends without', async () => {
    const guarded = await spawnGuarded('sh', ['-c', 'echo ready now; read line; echo never']);
    expect(await guarded.says('ready')).toBe('ready now');
    expect(await guarded.says('ready')).toBe('ready now');
    expect(await guarded.says('something else')).toBeNull();
    expect(await guarded.says('at last')).toBeNull();
  });

  it('gets its environment', async () => {
    const guarded = await spawnGuarded('sh', ['-c', 'echo "<$MNER_WORD>"'], { env: { MNER_WORD: 'tweet' } });
    await guarded.ended;
    expect(guarded.tail()).toEqual(['<tweet>']);
  });

  it('stops by SIGTERM, twice is once', async () => {
    const guarded = await spawnGuarded('sleep', ['600']);
    await Promise.all([guarded.stop(10_000), guarded.stop(10_000)]);
    expect(await guarded.ended).toBe(128 + 15);
    await guarded.stop(10_000);
    guarded.signal('SIGTERM');
    expect(exists(guarded.pid)).toBe(false);
  });

  it('stops by SIGKILL when it does not hear SIGTERM', async () => {
    const guarded = await spawnGuarded('sh', ['-c', 'trap "" TERM; echo ready; while :; do sleep 1; done']);
    await guarded.says('ready');
    await guarded.stop(50);
    expect(await guarded.ended).toBe(128 + 9);
  });

  it('stops while it stands still (SIGSTOP)', async () => {
    const guarded = await spawnGuarded('sleep', ['600']);
    guarded.signal('SIGSTOP');
    await guarded.stop(10_000);
    expect(await guarded.ended).toBe(128 + 15);
  });
});

describe('when the parent dies, its guarded process and its folder go too', () => {
  it.each(['SIGKILL', 'SIGINT', 'SIGTERM'] as const)('by %s to its process group', async (signal) => {
    const { parent, pid, folder } = await parentOfSleep('');
    process.kill(-(parent.pid ?? 0), signal);
    await gone(pid);
    await expect.poll(() => existsSync(folder), { timeout: 15_000 }).toBe(false);
  });

  it('by a crash', async () => {
    const { pid } = await parentOfSleep("setImmediate(() => { throw new Error('a crash on purpose'); });");
    await gone(pid);
    expect(exists(pid)).toBe(false);
  });

  it('by a plain exit, which it does not hold up', async () => {
    const { parent, pid } = await parentOfSleep('guarded.keepAlive(false); clearInterval(alive);');
    if (parent.exitCode === null) await once(parent, 'exit');
    await gone(pid);
    expect(parent.exitCode).toBe(0);
  });

  it('even while the guarded process stands still (SIGSTOP)', async () => {
    const { parent, pid } = await parentOfSleep('');
    process.kill(pid, 'SIGSTOP');
    parent.kill('SIGKILL');
    await gone(pid);
    expect(exists(pid)).toBe(false);
  });
});

/** A process of its own group that guards a `sleep`, then does `then`. */
async function parentOfSleep(then: string): Promise<{ parent: ChildProcess; pid: number; folder: string }> {
  const folder = join(scratch, 'base', 'node-1');
  mkdirSync(folder, { recursive: true });
  const code = `
    import { spawnGuarded } from '#mner/local/process.js';
    const alive = setInterval(() => {}, 1000);
    const guarded = await spawnGuarded('sleep', ['600'], { removeOnDeath: ${JSON.stringify(folder)} });
    console.log(guarded.pid);
    ${then}`;
  const args = ['--input-type=module', '--eval', code];
  const parent = spawn(process.execPath, args, { cwd: ROOT, detached: true, stdio: ['ignore', 'pipe', 'ignore'] });
  const [chunk] = await once(parent.stdout, 'data');
  return { parent, pid: Number(String(chunk)), folder };
}
