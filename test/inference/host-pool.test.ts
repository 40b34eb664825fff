import { afterEach, describe, expect, it } from 'vitest';
import { createHostPool } from '#mner/inference/host-pool.js';
import { createProcessHost, type ProcessHost } from '#mner/inference/host-process.js';
import type { Tensors } from '#mner/inference/port.js';
import { hostConformance, VISION } from './host-conformance.js';

hostConformance('two processes', (options) =>
  createHostPool([createProcessHost(options), createProcessHost({ ...options, emit: () => {} })]),
);

describe('inference processes side by side', () => {
  const stops: (() => Promise<void>)[] = [];
  afterEach(async () => {
    await Promise.all(stops.splice(0).map((stop) => stop()));
  });

  /** Two processes that answer with what they are asked, die of 13, and hang where 99 comes first. */
  const make = async () => {
    const program = 'test/inference/programs/echo.mjs';
    const hosts = [1, 2].map(() => createProcessHost({ models: [VISION], program, backOffMs: 1 }));
    const pool = createHostPool(hosts);
    stops.push(() => pool.stop());
    await pool.start();
    return { hosts: hosts as [ProcessHost, ProcessHost], pool };
  };
  const asks = (value: number): Tensors => ({ x: { type: 'float32', data: Float32Array.of(value), dims: [1] } });

  it('a call that takes long holds up what comes behind it in its own process, and nothing in the other', async () => {
    const { pool, hosts } = await make();
    const begun: string[] = [];
    const long = pool.run('m', asks(99), () => begun.push('long')).catch((error) => error);
    const short = await pool.run('m', asks(1), () => begun.push('short'));
    expect(short).toEqual(asks(1));
    // Both have one call now, then the one that answers has none.
    const behind = [2, 3].map((value) => pool.run('m', asks(value), () => begun.push(`behind ${value}`)));
    await expect(Promise.any(behind)).resolves.toEqual(asks(2));
    expect(begun).toEqual(['long', 'short', 'behind 2']);
    // Its process dies: the call that it ran is lost, and the one behind it begins in the process that takes its place.
    process.kill(hosts[0].pid as number, 'SIGKILL');
    await expect(long).resolves.toMatchObject({ code: 'inference_poison' });
    await expect(behind[1]).resolves.toEqual(asks(3));
    expect(begun).toEqual(['long', 'short', 'behind 2', 'behind 3']);
  });

  it('a process that dies takes the call that it ran with it; the other goes on', async () => {
    const { pool, hosts } = await make();
    const pids = hosts.map(({ pid }) => pid);
    const deadly = pool.run('m', asks(13)).catch((error) => error);
    await expect(pool.run('m', asks(1))).resolves.toEqual(asks(1));
    await expect(deadly).resolves.toMatchObject({ code: 'inference_poison' });
    await expect(pool.run('m', asks(2))).resolves.toEqual(asks(2));
    expect(hosts[1].pid).toBe(pids[1]);
  });

  it('a process that is started again gets no call while another is ready, and one that gives up is left out', async () => {
    const program = 'test/inference/programs/echo.mjs';
    const stillborn = 'test/inference/programs/stillborn.mjs';
    const good = createProcessHost({ models: [VISION], program });
    const bad = createProcessHost({ models: [VISION], program: stillborn, backOffMs: 1, startAttempts: 2 });
    const pool = createHostPool([bad, good]);
    stops.push(() => pool.stop());
    const started = pool.start().catch((error) => error);
    await good.start();
    for (const value of [1, 2]) await expect(pool.run('m', asks(value))).resolves.toEqual(asks(value));
    await expect(started).resolves.toMatchObject({ code: 'inference_unavailable' });
    const many = [3, 4, 5, 6].map((value) => pool.run('m', asks(value)));
    await expect(Promise.all(many)).resolves.toEqual([3, 4, 5, 6].map(asks));
  });

  it('stops all of them', async () => {
    const { pool, hosts } = await make();
    await pool.stop();
    await expect(pool.run('m', asks(1))).rejects.toMatchObject({ code: 'inference_unavailable' });
    expect(hosts.map(({ pid }) => pid === null || !alive(pid))).toEqual([true, true]);
  });
});

function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
