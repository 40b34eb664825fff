import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Batch, createBatchQueue, type Priority } from '#mner/inference/batch-queue.js';

interface Item {
  /** In order of arrival. */
  order: number;
  length: number;
  arrived: number;
  priority: Priority;
}

const LIMITS = { budget: 256, deadlineMs: 20, maxPadding: 0.08, patienceMs: 100 };

const length = fc.oneof(fc.integer({ min: 3, max: 40 }), fc.integer({ min: 3, max: 400 }));
/** Arrivals and moments at which the host asks for work. */
const steps = fc.array(
  fc.record({
    after: fc.oneof(fc.integer({ min: 0, max: 15 }), fc.integer({ min: 0, max: 150 })),
    arrivals: fc.array(fc.record({ length, priority: fc.constantFrom('live' as const, 'replay' as const) }), {
      maxLength: 12,
    }),
    demand: fc.constantFrom('idle' as const, 'busy' as const, null),
  }),
  { maxLength: 60 },
);

const turnOf = ({ priority, arrived }: Item) => arrived + (priority === 'live' ? 0 : LIMITS.patienceMs);
const isBefore = (a: Item, b: Item) => turnOf(a) < turnOf(b) || (turnOf(a) === turnOf(b) && a.order < b.order);

interface Taken {
  batch: Batch<Item>;
  now: number;
  demand: 'idle' | 'busy' | 'flush';
  /** All that waited just before, those of the batch included. */
  waiting: readonly Item[];
}

/** Plays the steps; gives every batch with the moment it was taken. */
function play(list: typeof steps extends fc.Arbitrary<infer T> ? T : never) {
  const queue = createBatchQueue<Item>(LIMITS);
  const taken: Taken[] = [];
  let waiting: Item[] = [];
  let now = 0;
  let order = 0;
  const note = (batch: Batch<Item>, demand: Taken['demand']) => {
    taken.push({ batch, now, demand, waiting });
    waiting = waiting.filter((item) => !batch.items.includes(item));
  };
  for (const { after, arrivals, demand } of list) {
    now += after;
    for (const { length, priority } of arrivals) {
      const item = { order: order++, length, arrived: now, priority };
      queue.add(item, length, now, priority);
      waiting = [...waiting, item];
    }
    const batch = demand && queue.take(now, demand);
    if (batch) note(batch, demand);
    expect(queue.size).toBe(waiting.length);
  }
  for (let batch = queue.flush(); batch; batch = queue.flush()) note(batch, 'flush');
  return { taken, added: order, left: queue.size };
}

/** Live items of one length, each with a pause before it, in ms. */
const load = fc.record({
  length: fc.integer({ min: 3, max: 120 }),
  pauses: fc.array(fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, fc.integer({ min: 0, max: 40 })), {
    minLength: 1,
    maxLength: 80,
  }),
});

/** What a host takes for a batch of so many pieces, padding included, in ms. */
const costOf = (pieces: number) => 0.5 + pieces / 20;

/**
 * A host that runs one batch while another waits behind it, as the batcher drives it. Beside their pauses, items come as fast as the host
 * works through them in full batches: it can just carry that.
 *
 * @param times what it is given of that load
 * @returns by how much the latest item began to run after its deadline, and the longest batch, in ms
 */
function serve(length: number, pauses: readonly number[], times: number) {
  const queue = createBatchQueue<Item>(LIMITS);
  let at = 0;
  const rows = Math.floor(LIMITS.budget / length);
  const coming = pauses.map((pause, order): Item => {
    const item: Item = { order, length, arrived: at + pause, priority: 'live' };
    at = item.arrived + costOf(rows * length) / rows / times;
    return item;
  });
  const out: Batch<Item>[] = [];
  let [now, ends, latest, longest] = [0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0];
  const begin = () => {
    const [batch] = out;
    if (!batch || ends !== Number.POSITIVE_INFINITY) return;
    const cost = costOf(batch.longest * batch.items.length);
    ends = now + cost;
    longest = Math.max(longest, cost);
    for (const { arrived } of batch.items) latest = Math.max(latest, now - arrived - LIMITS.deadlineMs);
  };
  for (let next = 0; next < coming.length || queue.size > 0 || out.length > 0; ) {
    const due = out.length === 0 ? queue.dueAt() : null;
    const arrival = coming[next]?.arrived ?? Number.POSITIVE_INFINITY;
    now = Math.max(now, Math.min(arrival, ends, due ?? Number.POSITIVE_INFINITY));
    if (ends <= now) {
      out.shift();
      ends = Number.POSITIVE_INFINITY;
      begin();
    } else if (arrival <= now) {
      const item = coming[next++] as Item;
      queue.add(item, item.length, now);
    }
    while (out.length < 2) {
      const batch = queue.take(now, out.length === 0 ? 'idle' : 'busy');
      if (!batch) break;
      out.push(batch);
      begin();
    }
  }
  return { latest, longest };
}

describe('the batch queue, whatever arrives', () => {
  it('gives every item exactly once', () => {
    fc.assert(
      fc.property(steps, (list) => {
        const { taken, added, left } = play(list);
        const given = taken.flatMap(({ batch }) => batch.items.map((item) => item.order)).sort((a, b) => a - b);
        expect(given).toEqual(Array.from({ length: added }, (_, order) => order));
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

  it('keeps the order of arrival within a length and a class', () => {
    fc.assert(
      fc.property(steps, (list) => {
        const last = new Map<string, number>();
        for (const { order, length, priority } of play(list).taken.flatMap(({ batch }) => batch.items)) {
          expect(order).toBeGreaterThan(last.get(`${priority} ${length}`) ?? -1);
          last.set(`${priority} ${length}`, order);
        }
      }),
    );
  });

  it('starves nobody: once the item whose turn is first is due, no batch goes without it', () => {
    fc.assert(
      fc.property(steps, (list) => {
        for (const { batch, now, demand, waiting } of play(list).taken) {
          const first = waiting.reduce((a, b) => (isBefore(b, a) ? b : a));
          if (demand === 'flush' || now < turnOf(first) + LIMITS.deadlineMs) continue;
          expect(batch.items).toContain(first);
        }
      }),
    );
  });

  it('misses no deadline by more than the batches that are out, and those that begin with an earlier turn', () => {
    fc.assert(
      fc.property(steps, (list) => {
        const { taken } = play(list);
        taken.forEach(({ batch }, at) => {
          for (const item of batch.items) {
            const late = taken
              .slice(0, at)
              .filter(({ now, waiting }) => now >= turnOf(item) + LIMITS.deadlineMs && waiting.includes(item));
            for (const { batch: other } of late) expect(other.items.some((one) => isBefore(one, item))).toBe(true);
          }
        });
      }),
    );
  });

  it('misses no deadline by more than one batch at a load of one length that the host can just carry', () => {
    fc.assert(
      fc.property(load, ({ length, pauses }) => {
        const { latest, longest } = serve(length, pauses, 1);
        expect(latest).toBeLessThanOrEqual(longest + 1e-9);
      }),
    );
  });

  it('has no such bound at three times that load, where what waits grows without end', () => {
    const { latest, longest } = serve(20, Array(300).fill(0), 3);
    expect(latest).toBeGreaterThan(2 * longest);
  });

  it('gives a busy host nothing that is neither full nor overdue, and the overdue only while another length is full', () => {
    fc.assert(
      fc.property(steps, (list) => {
        for (const { batch, now, demand, waiting } of play(list).taken) {
          if (demand !== 'busy') continue;
          const room = Math.floor(LIMITS.budget / batch.longest) - batch.items.length;
          const others = waiting.filter((item) => !batch.items.includes(item));
          const goesOn = others.some(({ length }) => length <= batch.longest);
          if (room <= 0 || goesOn) continue;
          // Not full: then it begins with the overdue item, and what fills half a budget by itself is left behind.
          const first = waiting.reduce((a, b) => (isBefore(b, a) ? b : a));
          expect(now).toBeGreaterThanOrEqual(turnOf(first) + LIMITS.deadlineMs);
          expect(batch.items).toContain(first);
          const left = waiting.reduce((sum, { length }) => sum + length, 0);
          expect(left).toBeGreaterThan((LIMITS.budget / 2) * (1 - LIMITS.maxPadding));
        }
      }),
    );
  });

  it('lets live items go first: none of a replay goes before its turn while a live one waits that could be in its place', () => {
    fc.assert(
      fc.property(steps, (list) => {
        for (const { batch, now, demand, waiting } of play(list).taken) {
          const early = batch.items.filter((item) => item.priority === 'replay' && turnOf(item) > now);
          if (demand === 'flush' || early.length === 0) continue;
          const live = waiting.filter(({ priority }) => priority === 'live');
          const inBatch = new Set(batch.items);
          const begins = batch.items.some((item) => item.priority === 'live' || turnOf(item) <= now);
          if (live.length > 0) expect(begins).toBe(true);
          const lengths = new Set(live.filter((item) => inBatch.has(item)).map(({ length }) => length));
          expect(live.filter((item) => lengths.has(item.length) && !inBatch.has(item))).toEqual([]);
        }
      }),
    );
  });

  it('gives an idle host what is due, at the moment that it told', () => {
    const arrivals = fc.array(
      fc.record({
        length: fc.integer({ min: 3, max: 60 }),
        priority: fc.constantFrom('live' as const, 'replay' as const),
      }),
      { minLength: 1, maxLength: 20 },
    );
    fc.assert(
      fc.property(arrivals, (list) => {
        const queue = createBatchQueue<number>(LIMITS);
        list.forEach(({ length, priority }, i) => {
          queue.add(i, length, i, priority);
        });
        let now = list.length;
        expect(queue.dueAt()).toBe(LIMITS.deadlineMs);
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

  it('does not let a busy host run dry because the batch that is overdue is not full, while another length is', () => {
    const queue = queueOf(60, ...Array(13).fill(20));
    expect(queue.take(20, 'busy')?.items).toEqual([60]);
    expect(queue.take(20, 'busy')?.items).toHaveLength(12);
    expect(queue.take(20, 'busy')).toBeNull();
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

  it('fills a live batch up with a replay, and runs a replay alone when nothing live waits', () => {
    const queue = queueOf(20, 20);
    for (let i = 0; i < 20; i++) queue.add(1000 + i, 20, 0, 'replay');
    expect(queue.take(0, 'busy')?.items).toEqual([20, 20, ...Array.from({ length: 10 }, (_, i) => 1000 + i)]);
    expect(queue.take(19, 'idle')).toBeNull();
    expect(queue.take(20, 'idle')?.items).toHaveLength(10);
  });

  it('does not let a replay of another length go while live items fill', () => {
    const queue = queueOf(20, 20);
    for (let i = 0; i < 20; i++) queue.add(60, 60, 0, 'replay');
    expect(queue.take(10, 'busy')).toBeNull();
    expect(queue.take(20, 'idle')?.items).toEqual([20, 20]);
    expect(queue.take(20, 'busy')?.items).toEqual([60, 60, 60, 60]);
  });

  it('gives a replay its share under a live flood, once its patience is over, and no more of it than has come to its turn', () => {
    const queue = createBatchQueue<string>(LIMITS);
    const shares: number[] = [];
    for (let now = 0; now <= 160; now += 10) {
      if (now === 0) for (let i = 0; i < 3; i++) queue.add('replay', 40, now, 'replay');
      if (now === 30) for (let i = 0; i < 3; i++) queue.add('replay', 40, now, 'replay');
      for (let i = 0; i < 6; i++) queue.add('live', 39, now);
      shares.push(queue.take(now, 'idle')!.items.filter((item) => item === 'replay').length);
    }
    // Each batch has room for six. Patience 100 and deadline 20: three have waited long enough at 120, the others at 150.
    expect(shares).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 3, 0]);
  });

  it('is quick with ten thousand waiting', () => {
    const queue = createBatchQueue<number>({ ...LIMITS, budget: 1024 });
    const began = process.cpuUsage();
    for (let i = 0; i < 10_000; i++) {
      queue.add(i, 5 + ((i * 7919) % 60), i / 100, i % 5 === 0 ? 'replay' : 'live');
      queue.dueAt();
    }
    let batches = 0;
    while (queue.take(1000, 'idle')) batches++;
    expect(queue.size).toBe(0);
    expect(batches).toBeGreaterThan(300);
    // 0.1 s, whatever else the machine does; a scan of all that waits, for every item, would take minutes.
    expect(process.cpuUsage(began).user / 1e6).toBeLessThan(10);
  });
});
