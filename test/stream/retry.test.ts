import { describe, expect, it } from 'vitest';
import { manualClock } from '#mner/clock.js';
import { MnerError } from '#mner/errors.js';
import { persist } from '#mner/stream/retry.js';

const unavailable = () => new MnerError('broker_unavailable');

describe('persist', () => {
  it('waits twice as long each time, up to five seconds, with jitter', async () => {
    const clock = manualClock();
    const waits: number[] = [];
    let told = () => {};
    const stumbled = (_: MnerError, wait: number) => {
      waits.push(wait);
      told();
    };
    let calls = 0;
    const attempt = async () => {
      calls += 1;
      if (calls <= 8) throw unavailable();
      return 'done';
    };
    const signal = new AbortController().signal;
    const done = persist(attempt, { clock, signal, stumbled, random: () => 0 });
    for (let i = 1; i <= 8; i += 1) {
      while (waits.length < i)
        await new Promise<void>((resolve) => {
          told = resolve;
        });
      clock.advance(waits.at(-1) ?? 0);
    }
    expect(await done).toBe('done');
    expect(waits).toEqual([50, 100, 200, 400, 800, 1600, 2500, 2500]);
  });

  it('throws at once what is not retryable', async () => {
    const options = { clock: manualClock(), signal: new AbortController().signal };
    const attempt = () => Promise.reject(new MnerError('topic_missing'));
    await expect(persist(attempt, options)).rejects.toMatchObject({ code: 'topic_missing' });
    await expect(persist(() => Promise.reject(new Error('odd')), options)).rejects.toMatchObject({ code: 'internal' });
  });

  it('gives up when it is told to, in the middle of a wait', async () => {
    const ending = new AbortController();
    let calls = 0;
    const attempt = async () => {
      calls += 1;
      throw unavailable();
    };
    const stumbled = () => queueMicrotask(() => ending.abort());
    const done = persist(attempt, { clock: manualClock(), signal: ending.signal, stumbled });
    await expect(done).rejects.toMatchObject({ code: 'broker_unavailable' });
    expect(calls).toBe(1);
  });

  /** Fails so often; the clock goes on by itself. */
  const failing = (times: number, clock = manualClock()) => {
    let calls = 0;
    const stumbled = (_: MnerError, wait: number) => setImmediate(() => clock.advance(wait));
    const attempt = async () => {
      calls += 1;
      if (calls <= times) throw unavailable();
      return clock.now();
    };
    return { attempt, options: { clock, signal: new AbortController().signal, stumbled, random: () => 1 } };
  };

  it('throws the last error when the budget is spent', async () => {
    const { attempt, options } = failing(100);
    await expect(persist(attempt, { ...options, budgetMs: 10_000 })).rejects.toMatchObject({
      code: 'broker_unavailable',
    });
    expect(options.clock.now()).toBeGreaterThanOrEqual(10_000);
    expect(options.clock.now()).toBeLessThan(20_000);
  });

  it('goes on when somebody is told that the budget is spent, once', async () => {
    const { attempt, options } = failing(20);
    const told: number[] = [];
    const spent = () => told.push(options.clock.now());
    expect(await persist(attempt, { ...options, budgetMs: 10_000, spent })).toBeGreaterThan(50_000);
    expect(told).toHaveLength(1);
  });
});
