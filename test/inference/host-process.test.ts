import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { manualClock } from '#mner/clock.js';
import type { MnerError } from '#mner/errors.js';
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
      readyAgain: () => next((event) => event.type === 'note' && event.message.includes('ready again')),
    };
  };
  const asks = (value: number): Tensors => ({ x: { type: 'float32', data: Float32Array.of(value), dims: [1] } });
  const echo = { program: 'test/inference/programs/echo.mjs' };

  afterEach(async () => {
    await Promise.all(stops.splice(0).map((stop) => stop()));
  });

  it('killed with -9: what was under way is answered by its successor', async () => {
    const { host, events } = make();
    await host.start();
    const pid = host.pid!;
    const under_way = [1, 2, 3].map((colour) => host.run('vision-tiny', picture(colour)));
    process.kill(pid, 'SIGKILL');
    for (const outputs of await Promise.all(under_way)) expect(outputs).toHaveProperty('grid');
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

  it('a batch that kills it twice is poison; those behind it are answered', async () => {
    const { host, events } = make(echo);
    await host.start();
    const [before, poison, after] = [asks(1), asks(13), asks(2)].map((feeds) => host.run('m', feeds));
    await expect(poison).rejects.toMatchObject({ code: 'inference_poison' });
    expect((await before)?.x?.data).toEqual(Float32Array.of(1));
    expect((await after)?.x?.data).toEqual(Float32Array.of(2));
    expect(events.filter((event) => event.type === 'inference_restart')).toHaveLength(2);
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
    const { host, restarted, readyAgain } = make({ ...echo, clock, runTimeoutMs: 1000, backOffMs: 50 });
    await host.start();
    const hangs = host.run('m', asks(99)).catch((error: MnerError) => error.code);
    const killed = restarted();
    clock.advance(1000);
    await killed;
    const ready = readyAgain();
    clock.advance(50);
    await ready;
    const again = restarted();
    clock.advance(1000);
    await again;
    expect(await hangs).toBe('inference_poison');
    const next = host.run('m', asks(5));
    clock.advance(100);
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
