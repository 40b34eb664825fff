import { describe, expect, it } from 'vitest';
import { manualClock } from '#mner/clock.js';
import { MnerError } from '#mner/errors.js';
import { type BatcherOptions, createBatcher } from '#mner/inference/batcher.js';
import type { Event } from '#mner/telemetry/events.js';
import { seen } from '../support/seen.js';

/** A host that answers when it is told to. */
function setUp(options: Partial<BatcherOptions<string, string>> = {}) {
  const clock = manualClock();
  const events: Event[] = [];
  const runs: { items: readonly string[]; finish: () => void }[] = [];
  /** What tells the batcher that a run has begun, one process working after the other; the first is at work. */
  const turns: (() => void)[] = [];
  const batcher = createBatcher<string, string>({
    clock,
    emit: (event) => events.push(event),
    tokenBudget: 100,
    run: (items, begun = () => {}) =>
      new Promise((resolve, reject) => {
        if (turns.push(begun) <= (options.processes ?? 1)) begun();
        const finish = () => {
          turns.splice(turns.indexOf(begun), 1);
          turns[(options.processes ?? 1) - 1]?.();
          if (items.includes('throws')) reject(new MnerError('inference_poison'));
          else if (items.includes('no host')) reject(new MnerError('inference_unavailable'));
          else resolve(items.map((item) => (item === 'nan' ? new MnerError('inference_poison') : item.toUpperCase())));
        };
        runs.push({ items, finish });
      }),
    ...options,
  });
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  return { batcher, clock, events, runs, settle };
}

describe('the batcher', () => {
  it('runs a lone item at its deadline, not before', () => {
    const { batcher, clock, runs } = setUp();
    void batcher.submit('a', 10);
    clock.advance(19);
    expect(runs).toHaveLength(0);
    clock.advance(1);
    expect(runs.map((run) => run.items)).toEqual([['a']]);
  });

  it('fills while the host is busy, and hands out the rest when it is free', async () => {
    const { batcher, clock, runs, settle } = setUp();
    const first = batcher.submit('a', 10);
    clock.advance(20);
    const others = ['b', 'c', 'd'].map((item) => batcher.submit(item, 10));
    clock.advance(500);
    expect(runs).toHaveLength(1);
    expect(batcher.queued).toBe(3);
    runs[0]!.finish();
    expect(await first).toBe('A');
    expect(runs[1]?.items).toEqual(['b', 'c', 'd']);
    runs[1]!.finish();
    expect(await Promise.all(others)).toEqual(['B', 'C', 'D']);
    await settle();
    expect(batcher.queued).toBe(0);
  });

  it('does not read what nobody waits for any more, so that it holds nothing up', async () => {
    const { batcher, clock, runs, events } = setUp();
    const [epoch, rest] = [new AbortController(), new AbortController()];
    const before = batcher.submit('begun', 10, 'live', epoch.signal);
    clock.advance(20);
    // A rebalance leaves nine rows in front of what comes after it.
    const left = Array.from({ length: 9 }, (_, i) => batcher.submit(`old ${i}`, 10, 'live', epoch.signal));
    const outcomes = Promise.allSettled(left);
    epoch.abort();
    const after = batcher.submit('new', 20, 'live', rest.signal);
    runs[0]!.finish();
    expect(await before).toBe('BEGUN');
    clock.advance(20);
    expect(runs.flatMap(({ items }) => items)).toEqual(['begun', 'new']);
    expect((await outcomes).every(({ status }) => status === 'rejected')).toBe(true);
    expect(events.findLast((event) => event.type === 'batch')).toMatchObject({ tweets: 1, tokens: 20, padding: 0 });
    runs[1]!.finish();
    expect(await after).toBe('NEW');
    expect(batcher.queued).toBe(0);
  });

  it('puts one full batch behind the one that runs, and no more', () => {
    const { batcher, runs } = setUp();
    for (let i = 0; i < 35; i++) void batcher.submit(`t${i}`, 10);
    expect(runs.map((run) => run.items.length)).toEqual([10, 10]);
    expect(batcher.queued).toBe(15);
  });

  it('two processes: each gets a batch as soon as one is due, and one full one to wait behind it', async () => {
    const { batcher, clock, runs } = setUp({ processes: 2 });
    void batcher.submit('a', 10);
    clock.advance(20);
    void batcher.submit('b', 10);
    clock.advance(20);
    expect(runs.map((run) => run.items)).toEqual([['a'], ['b']]);
    for (let i = 0; i < 35; i++) void batcher.submit(`t${i}`, 10);
    expect(runs.map((run) => run.items.length)).toEqual([1, 1, 10, 10]);
    expect(batcher.queued).toBe(15);
  });

  it('a process that hangs keeps what it has, and what is due goes to the other, full or not', async () => {
    const handedOut: (readonly string[])[] = [];
    const finish: (() => void)[] = [];
    const { batcher, clock, settle } = setUp({
      processes: 2,
      // The first and the third are with the process that hangs.
      run: (items, begun) =>
        new Promise((resolve) => {
          if (handedOut.push(items) !== 3) begun?.();
          finish.push(() => resolve(items));
        }),
    });
    for (let i = 0; i < 30; i++) void batcher.submit(`t${i}`, 10);
    finish[1]?.();
    await settle();
    void batcher.submit('late', 10);
    expect(handedOut).toHaveLength(3);
    clock.advance(20);
    expect(handedOut[3]).toEqual(['late']);
  });

  it('a wait behind the batch that runs was told as inference: a tweet waits until its own batch begins', async () => {
    const { batcher, clock, events, runs, settle } = setUp();
    const results = Array.from({ length: 20 }, (_, i) => batcher.submit(`t${i}`, 10));
    clock.advance(30);
    runs[0]!.finish();
    await settle();
    clock.advance(40);
    runs[1]!.finish();
    await Promise.all(results);
    const told = (stage: string) =>
      events.flatMap((event) => (event.type === 'stage' && event.stage === stage ? [event.seconds] : []));
    expect(told('queue')).toEqual([...Array(10).fill(0), ...Array(10).fill(0.03)]);
    expect(told('inference')).toEqual([0.03, 0.04]);
  });

  it('a batch behind one that fails begins when the host comes to it, and once', async () => {
    const { batcher, clock, events, runs, settle } = setUp();
    const results = Promise.allSettled([batcher.submit('throws', 100), batcher.submit('b', 100)]);
    // The first run of the one that fails, the other, and then the failed one again.
    for (let i = 0; i < 3; i++) {
      clock.advance(10);
      runs[i]!.finish();
      await settle();
    }
    expect((await results).map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
    const told = (stage: string) =>
      events.flatMap((event) => (event.type === 'stage' && event.stage === stage ? [event.seconds] : []));
    expect(told('queue')).toEqual([0, 0.01]);
    expect(told('inference')).toEqual([0.01, 0.03]);
  });

  it('rejects a row of NaN and gives its neighbours their results', async () => {
    const { batcher, clock, runs } = setUp();
    const results = Promise.allSettled(['a', 'nan', 'b'].map((item) => batcher.submit(item, 10)));
    clock.advance(20);
    runs[0]!.finish();
    const [a, nan, b] = await results;
    expect(a).toEqual({ status: 'fulfilled', value: 'A' });
    expect(nan).toMatchObject({ status: 'rejected', reason: { code: 'inference_poison' } });
    expect(b).toEqual({ status: 'fulfilled', value: 'B' });
  });

  it('cuts a batch that throws in halves, so that only the row at fault fails', async () => {
    const { batcher, clock, events, runs, settle } = setUp();
    const results = Promise.allSettled(['a', 'throws', 'b'].map((item) => batcher.submit(item, 10)));
    clock.advance(20);
    for (let i = 0; i < 6; i++) {
      runs[i]!.finish();
      await settle();
    }
    expect((await results).map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    const whole = ['a', 'throws', 'b'];
    expect(runs.map((run) => run.items)).toEqual([whole, whole, ['a'], ['throws'], ['throws'], ['b']]);
    expect(events).toContainEqual({ type: 'batch_retry', how: 'bisected' });
  });

  it('does not blame the rows when there is no host', async () => {
    const { batcher, clock, runs } = setUp();
    const results = Promise.allSettled(['a', 'no host'].map((item) => batcher.submit(item, 10)));
    clock.advance(20);
    runs[0]!.finish();
    for (const result of await results) expect(result).toMatchObject({ reason: { code: 'inference_unavailable' } });
    expect(runs).toHaveLength(1);
  });

  it('runs everything that waits before it stops, and takes nothing after', async () => {
    const { batcher, runs, settle } = setUp();
    const results = ['a', 'b'].map((item, i) => batcher.submit(item, 10 + 50 * i));
    const stopped = batcher.stop();
    await expect(batcher.submit('c', 10)).rejects.toMatchObject({ code: 'inference_unavailable' });
    for (const run of runs) run.finish();
    expect(await Promise.all(results)).toEqual(['A', 'B']);
    await stopped;
    await batcher.stop();
    await settle();
  });

  it('tells of waiting, batches and padding', async () => {
    const { batcher, clock, events, runs, settle } = setUp();
    void batcher.submit('a', 10);
    clock.advance(5);
    void batcher.submit('b', 9);
    clock.advance(15);
    clock.advance(7);
    runs[0]!.finish();
    await settle();
    expect(events).toContainEqual({ type: 'batch', tweets: 2, tokens: 19, padding: expect.closeTo(0.05, 6) });
    expect(events).toContainEqual({ type: 'stage', stage: 'queue', seconds: 0.015 });
    expect(events).toContainEqual({ type: 'stage', stage: 'queue', seconds: 0.02 });
    expect(events).toContainEqual({ type: 'stage', stage: 'inference', seconds: 0.007 });
    expect(events.at(-1)).toEqual({ type: 'stage', stage: 'inference', seconds: 0.007 });
  });
});

it.for([3_600_000, -3_600_000])(
  'fault 47: a wall clock that jumps by %d ms moves no deadline of a batch',
  (ms, { task }) => {
    const { batcher, clock, runs } = setUp();
    void batcher.submit('a', 10);
    clock.advance(10);
    clock.jump(ms);
    clock.advance(9);
    expect(runs).toHaveLength(0);
    clock.advance(1);
    expect(runs.map((run) => run.items)).toEqual([['a']]);
    seen(task, "a batch's deadline does not move with the wall clock");
  },
);
