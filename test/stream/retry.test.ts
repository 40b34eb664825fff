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
});
