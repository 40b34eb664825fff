import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { manualClock } from '#mner/clock.js';
import type { MnerError } from '#mner/errors.js';
import { runBisected } from '#mner/inference/bisect.js';
import { createProcessHost, type ProcessHostOptions } from '#mner/inference/host-process.js';
import type { Tensors } from '#mner/inference/port.js';
import type { Event } from '#mner/telemetry/events.js';
import { hostConformance, picture, VISION } from './host-conformance.js';

hostConformance('in a child process', createProcessHost);

describe('an inference process that fails', () => {
  const stops: (() => Promise<void>)[] = [];
  const make = (options: Partial<ProcessHostOptions> = {}) => {
    const events: Event[] = [];
    const waits: { about: (event: Event) => boolean; resolve: () => void }[] = [];
    const host = createProcessHost({
      models: [VISION],
      threads: 1,
      backOffMs: 1,
      emit: (event) => {
        events.push(event);
        for (const { about, resolve } of waits) if (about(event)) resolve();
      },
      ...options,
    });
    stops.push(() => host.stop());
    const next = (about: (event: Event) => boolean) => new Promise<void>((resolve) => waits.push({ about, resolve }));
    return {
      host,
      events,
      restarted: () => next((event) => event.type === 'inference_restart'),
    };
  };
  const asks = (value: number): Tensors => ({ x: { type: 'float32', data: Float32Array.of(value), dims: [1] } });
  const echo = { program: 'test/inference/programs/echo.mjs' };

  afterEach(async () => {
    await Promise.all(stops.splice(0).map((stop) => stop()));
  });

  it('killed with -9: the call that ran fails, and those behind it are answered by its successor', async () => {
    const { host, events } = make(echo);
    await host.start();
    const pid = host.pid!;
    // The first would never be answered: a real one may be, before the signal has come.
    const [first, ...others] = [99, 2, 3].map((value) => host.run('m', asks(value)));
    process.kill(pid, 'SIGKILL');
    await expect(first).rejects.toMatchObject({
      code: 'inference_poison',
      message: expect.stringContaining('SIGKILL'),
    });
    expect(await Promise.all(others)).toEqual([2, 3].map(asks));
    expect(host.pid).not.toBe(pid);
    expect(events.filter((event) => event.type === 'inference_restart')).toHaveLength(1);
  });

  it('killed while idle: the next call is answered', async () => {
    const { host, restarted } = make();
    await host.start();
    const again = restarted();
    process.kill(host.pid!, 'SIGKILL');
    await again;
    await expect(host.run('vision-tiny', picture(1))).resolves.toHaveProperty('grid');
  });

  it('fault 28: a row that kills the process fails alone, after the batch was tried twice and cut in halves', async () => {
    const { host, events } = make(echo);
    await host.start();
    const rows = Array.from({ length: 16 }, (_, row) => (row === 5 ? 13 : row + 100));
    const behind = runBisected(rows, async (some) => {
      const { x } = await host.run('m', { x: { type: 'float32', data: Float32Array.from(some), dims: [some.length] } });
      return Array.from(x!.data, Number);
    });
    const outcomes = await behind;
    outcomes.forEach((outcome, row) => {
      if (row === 5) expect(outcome).toMatchObject({ code: 'inference_poison' });
      else expect(outcome).toBe(rows[row]);
    });
    const deaths = events.filter((event) => event.type === 'inference_restart').length;
    expect(deaths).toBeLessThanOrEqual(7);
  });

  it('a process that never gets ready ends in inference_unavailable', async () => {
    const { host, events } = make({ program: 'test/inference/programs/stillborn.mjs', startAttempts: 3 });
    await expect(host.start()).rejects.toMatchObject({ code: 'inference_unavailable' });
    await expect(host.run('m', asks(1))).rejects.toMatchObject({ code: 'inference_unavailable' });
    expect(events.filter((event) => event.type === 'inference_restart')).toHaveLength(3);
    expect(JSON.stringify(events)).toContain('no room');
  });

  it('a process that hangs is killed at the deadline', async () => {
    const clock = manualClock();
    const { host, restarted } = make({ ...echo, clock, runTimeoutMs: 1000, backOffMs: 50 });
    await host.start();
    const hangs = host.run('m', asks(99)).catch((error: MnerError) => error.code);
    const killed = restarted();
    clock.advance(1000);
    await killed;
    expect(await hangs).toBe('inference_poison');
    const next = host.run('m', asks(5));
    clock.advance(50);
    expect((await next).x?.data).toEqual(Float32Array.of(5));
  });

  it('does not outlive a worker that is killed with -9', async () => {
    const parent = spawn(process.execPath, ['test/inference/programs/parent.mjs'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(parent.stdout, 'data')) as [Buffer];
    const child = Number(line.toString());
    expect(isAlive(child)).toBe(true);
    parent.kill('SIGKILL');
    await vi.waitFor(() => expect(isAlive(child)).toBe(false), { timeout: 10_000 });
  });

  it('gives the process no secrets of the worker', async () => {
    process.env.MNER_TEST_SECRET = 'secret';
    const { host } = make({ program: 'test/inference/programs/environment.mjs' });
    await host.start();
    delete process.env.MNER_TEST_SECRET;
    const { names } = await host.run('m', asks(1));
    expect(Buffer.from(names?.data as Uint8Array).toString()).not.toContain('MNER_TEST_SECRET');
  });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
