import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, it } from 'vitest';
import { processTree } from '#mner/cli/bench/process-tree.js';

it.skipIf(process.platform !== 'linux')('lists a process and what it has started, with CPU and memory', async () => {
  const child = spawn(process.execPath, ['-e', 'process.send(1); setInterval(() => {}, 1000)'], {
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  try {
    await once(child, 'message');
    const [first, ...others] = processTree(process.pid);
    expect(first.pid).toBe(process.pid);
    expect(first.cpu).toBeGreaterThan(0);
    expect(first.rss).toBeGreaterThan(10 * 2 ** 20);
    expect(others.map(({ pid }) => pid)).toContain(child.pid);
    expect(() => processTree(2 ** 30)).toThrow('There is no process');
  } finally {
    child.kill('SIGKILL');
  }
});
