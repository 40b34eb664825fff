import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '#mner/clock.js';
import { limited, watchMemory } from '#mner/image/decode-limits.js';
import { openChildChannel } from '#mner/inference/channel.js';

const FAULTS = 'test/image/programs/decode-fault.mjs';
const MB = 2 ** 20;
const children: ReturnType<typeof fork>[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

function start(options: ReturnType<typeof limited>) {
  const child = fork(FAULTS, ['{"size":8}'], { ...options, stdio: ['ignore', 'ignore', 'ignore', 'ipc', 'pipe'] });
  children.push(child);
  let hear = () => {};
  const ready = new Promise<void>((resolve) => {
    hear = resolve;
  });
  const channel = openChildChannel(child, { heard: hear, broken: () => {} });
  /** What the program of faults reads after a PNG's first eight bytes. */
  const ask = (what: string) => channel?.send(Buffer.from(`01234567${what}`));
  return { child, ask, ready };
}

describe.runIf(process.platform === 'linux')('limits of the kernel', () => {
  it('a process that eats memory dies of it by itself', async () => {
    const { child, ask } = start(limited(200 * MB));
    const exit = once(child, 'exit');
    ask('eat');
    const [code, signal] = await exit;
    // An exception or an abort, depending on who asked for the memory; no kill.
    expect(signal).not.toBe('SIGKILL');
    expect(code).not.toBe(0);
  });

  it('a process that spins ends when its CPU time is used up', async () => {
    const { child, ask } = start(limited(400 * MB, 1));
    const exit = once(child, 'exit');
    ask('spin');
    expect(await exit).toEqual([null, 'SIGXCPU']);
  });

  it('where memory runs out for all, it is the first that the kernel ends', async () => {
    const { child, ready } = start(limited(400 * MB));
    await ready;
    expect(readFileSync(`/proc/${child.pid}/oom_score_adj`, 'utf8')).toBe('1000\n');
  });

  it('a process that eats memory is seen, where the kernel does not stop it', async () => {
    const { child, ask } = start({});
    const above = new Promise<void>((resolve) => {
      watchMemory(child.pid ?? 0, 200 * MB, systemClock, resolve);
    });
    const exit = once(child, 'exit');
    ask('eat');
    await above;
    child.kill('SIGKILL');
    expect(await exit).toEqual([null, 'SIGKILL']);
  });
});
