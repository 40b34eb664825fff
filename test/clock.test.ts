import { describe, expect, it } from 'vitest';
import { type Clock, delay, manualClock, systemClock } from '#mner/clock.js';

/** What every clock must do. `pass` lets the given time go by on it. */
function clockConformance(name: string, create: () => { clock: Clock; pass: (ms: number) => Promise<void> }): void {
  describe(`the ${name} clock`, () => {
    it('calls back in the order of the due times, once', async () => {
      const { clock, pass } = create();
      const calls: string[] = [];
      clock.after(30, () => calls.push('late'));
      clock.after(5, () => calls.push('early'));
      await pass(60);
      expect(calls).toEqual(['early', 'late']);
    });

    it('does not call back what was cancelled', async () => {
      const { clock, pass } = create();
      let called = false;
      clock
        .after(5, () => {
          called = true;
        })
        .cancel();
      await pass(20);
      expect(called).toBe(false);
    });

    it('counts the time that passes, and its wall clock goes along', async () => {
      const { clock, pass } = create();
      const [now, wall] = [clock.now(), clock.wall()];
      await pass(20);
      expect(clock.now() - now).toBeGreaterThanOrEqual(15);
      expect(clock.wall() - wall).toBeGreaterThanOrEqual(15);
    });

    it('ends a delay when time is up, and at once on abort', async () => {
      const { clock, pass } = create();
      const ended = delay(clock, 10);
      await pass(20);
      await expect(ended).resolves.toBeUndefined();
      const abort = new AbortController();
      const cut = delay(clock, 3_600_000, abort.signal);
      abort.abort();
      await expect(cut).resolves.toBeUndefined();
      await expect(delay(clock, 3_600_000, abort.signal)).resolves.toBeUndefined();
    });
  });
}

clockConformance('system', () => ({
  clock: systemClock,
  pass: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
}));

clockConformance('manual', () => {
  const clock = manualClock(1_000);
  return { clock, pass: async (ms) => clock.advance(ms) };
});

describe('the manual clock alone', () => {
  it('keeps its monotonic time when the wall clock jumps an hour', () => {
    const clock = manualClock(5_000);
    clock.advance(10);
    clock.jump(3_600_000);
    expect(clock.now()).toBe(10);
    expect(clock.wall()).toBe(3_605_010);
  });

  it('runs what a callback adds, when it falls due in the same step', () => {
    const clock = manualClock();
    const times: number[] = [];
    clock.after(10, () => clock.after(10, () => times.push(clock.now())));
    clock.advance(30);
    expect(times).toEqual([20]);
  });
});
