import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Batch, createBatchQueue } from '#mner/inference/batch-queue.js';

interface Item {
  turn: number;
  length: number;
  arrived: number;
}

const LIMITS = { budget: 256, deadlineMs: 20, maxPadding: 0.08 };

/** Arrivals and moments at which the host asks for work. */
const steps = fc.array(
  fc.record({
    after: fc.integer({ min: 0, max: 15 }),
    lengths: fc.array(fc.oneof(fc.integer({ min: 3, max: 40 }), fc.integer({ min: 3, max: 400 })), { maxLength: 12 }),
    demand: fc.constantFrom('idle' as const, 'busy' as const, null),
  }),
  { maxLength: 60 },
);

/** Plays the steps; gives every batch with the moment it was taken. */
function play(list: typeof steps extends fc.Arbitrary<infer T> ? T : never) {
  const queue = createBatchQueue<Item>(LIMITS);
  const taken: { batch: Batch<Item>; now: number; demand: 'idle' | 'busy' | 'flush' }[] = [];
  let now = 0;
  let turn = 0;
  for (const { after, lengths, demand } of list) {
    now += after;
    for (const length of lengths) queue.add({ turn: turn++, length, arrived: now }, length, now);
    const batch = demand && queue.take(now, demand);
    if (batch) taken.push({ batch, now, demand });
  }
  const during = taken.length;
  for (let batch = queue.flush(); batch; batch = queue.flush()) taken.push({ batch, now, demand: 'flush' });
  return { taken, during, added: turn, left: queue.size };
}

describe('the batch queue, whatever arrives', () => {
  it('gives every item exactly once', () => {
    fc.assert(
      fc.property(steps, (list) => {
        const { taken, added, left } = play(list);
        const turns = taken.flatMap(({ batch }) => batch.items.map((item) => item.turn)).sort((a, b) => a - b);
        expect(turns).toEqual(Array.from({ length: added }, (_, turn) => turn));
        expect(left).toBe(0);
      }),
    );
  });

  it('never goes beyond the budget but for an item that does so alone', () => {
    fc.assert(
      fc.property(steps, (list) => {
        for (const { batch } of play(list).taken) {
          const lengths = batch.items.map((item) => item.length);
          expect(batch.longest).toBe(Math.max(...lengths));
          expect(batch.pieces).toBe(lengths.reduce((sum, length) => sum + length, 0));
          const padded = batch.longest * batch.items.length;
          if (batch.items.length > 1) expect(padded).toBeLessThanOrEqual(LIMITS.budget);
          expect(1 - batch.pieces / padded).toBeLessThanOrEqual(LIMITS.maxPadding + 1e-9);
        }
      }),
    );
  });

  it('keeps the order of arrival within a length', () => {
    fc.assert(
      fc.property(steps, (list) => {
        const last = new Map<number, number>();
        for (const { turn, length } of play(list).taken.flatMap(({ batch }) => batch.items)) {
          expect(turn).toBeGreaterThan(last.get(length) ?? -1);
          last.set(length, turn);
        }
      }),
    );
  });

  it('starves nobody: once an item is due, no batch goes that holds none older and not it', () => {
    fc.assert(
      fc.property(steps, (list) => {
        const { taken } = play(list);
        taken.forEach(({ batch, now, demand }, at) => {
          if (demand === 'flush') return;
          const waiting = taken
            .slice(at)
            .flatMap(({ batch: later }) => later.items)
            .filter((item) => item.arrived <= now);
          const oldest = waiting.reduce((a, b) => (b.turn < a.turn ? b : a));
          if (now >= oldest.arrived + LIMITS.deadlineMs) expect(batch.items).toContain(oldest);
        });
      }),
    );
  });

  it('gives an idle host what is due, at the moment that it told', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 3, max: 60 }), { minLength: 1, maxLength: 20 }), (lengths) => {
        const queue = createBatchQueue<number>(LIMITS);
        lengths.forEach((length, i) => {
          queue.add(i, length, i);
        });
        let now = lengths.length;
        while (queue.size > 0) {
          now = Math.max(now, queue.dueAt()!);
          expect(queue.take(now, 'idle')).not.toBeNull();
        }
        expect(queue.dueAt()).toBeNull();
      }),
    );
  });
});

describe('the batch queue', () => {
  const queueOf = (...lengths: number[]) => {
    const queue = createBatchQueue<number>(LIMITS);
    for (const length of lengths) queue.add(length, length, 0);
    return queue;
  };

  it('waits for more while neither full nor due', () => {
    const queue = queueOf(20, 20, 20);
    expect(queue.take(19, 'idle')).toBeNull();
    expect(queue.take(20, 'busy')).toBeNull();
    expect(queue.take(20, 'idle')?.items).toEqual([20, 20, 20]);
  });

  it('goes at once when full, also behind another batch', () => {
    const queue = queueOf(...Array(13).fill(20));
    expect(queue.take(0, 'busy')?.items).toHaveLength(12);
    expect(queue.size).toBe(1);
  });

  it('fills up with neighbouring lengths, and leaves distant ones', () => {
    const queue = queueOf(20, 21, 19, 20, 60, 8);
    expect([...queue.take(20, 'idle')!.items].sort()).toEqual([19, 20, 20, 21]);
    expect(queue.take(20, 'idle')?.items).toEqual([60]);
    expect(queue.take(20, 'idle')?.items).toEqual([8]);
  });

  it('runs an item beyond the budget alone', () => {
    const queue = queueOf(20, 400, 20);
    expect(queue.take(0, 'idle')?.items).toEqual([400]);
  });
});
