import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MnerError } from '#mner/errors.js';
import { runBisected } from '#mner/inference/bisect.js';
import type { Event } from '#mner/telemetry/events.js';

const ROWS = 64;
/** Two runs of the whole, two for each halving, and the last row by itself. */
const mostRuns = (rows: number) => 3 + 2 * Math.ceil(Math.log2(rows));

/** Runs rows of which some make the whole call throw; gives what came out and the calls that it took. */
async function search(rows: number, poison: ReadonlySet<number>) {
  const calls: number[][] = [];
  const events: Event[] = [];
  const outcomes = await runBisected<number, string>(
    Array.from({ length: rows }, (_, row) => row),
    async (some) => {
      calls.push([...some]);
      if (some.some((row) => poison.has(row))) throw new MnerError('inference_poison', 'A row is at fault.');
      return some.map(String);
    },
    (event) => events.push(event),
  );
  return { outcomes, calls, events };
}

describe('a batch that fails', () => {
  it('is run once when nothing is wrong with it', async () => {
    const { outcomes, calls, events } = await search(3, new Set());
    expect(outcomes).toEqual(['0', '1', '2']);
    expect(calls).toHaveLength(1);
    expect(events).toEqual([]);
  });

  it('is run a second time, and that is all when it passes', async () => {
    let first = true;
    const events: Event[] = [];
    const outcomes = await runBisected<string, string>(
      ['a', 'b'],
      async (some) => {
        if (first) {
          first = false;
          throw new MnerError('inference_poison', 'Somebody killed the process.');
        }
        return some;
      },
      (event) => events.push(event),
    );
    expect(outcomes).toEqual(['a', 'b']);
    expect(events).toEqual([{ type: 'batch_retry', how: 'whole' }]);
  });

  it(`fault 25: one poison row of ${ROWS}, wherever it stands, takes at most 15 runs and fails alone`, async () => {
    let most = 0;
    for (let poison = 0; poison < ROWS; poison++) {
      const { outcomes, calls, events } = await search(ROWS, new Set([poison]));
      outcomes.forEach((outcome, row) => {
        if (row === poison) expect(outcome).toMatchObject({ code: 'inference_poison' });
        else expect(outcome).toBe(String(row));
      });
      expect(events.map((event) => event.type === 'batch_retry' && event.how)).toEqual(['whole', 'bisected']);
      most = Math.max(most, calls.length);
    }
    expect(most).toBe(mostRuns(ROWS));
  });

  it('never blames a row that did not fail by itself, and loses none', () =>
    fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 40 }).chain((rows) =>
          fc.record({
            rows: fc.constant(rows),
            poison: fc.uniqueArray(fc.integer({ min: 0, max: rows - 1 })).map((list) => new Set(list)),
          }),
        ),
        async ({ rows, poison }) => {
          const { outcomes, calls } = await search(rows, poison);
          expect(outcomes.map((outcome) => outcome instanceof MnerError)).toEqual(
            Array.from({ length: rows }, (_, row) => poison.has(row)),
          );
          for (const row of poison) expect(calls).toContainEqual([row]);
          expect(calls.length).toBeLessThanOrEqual(1 + poison.size * mostRuns(rows));
        },
      ),
    ));

  it('with rows that only fail together, gives each its result', async () => {
    const outcomes = await runBisected<number, number>([0, 1, 2, 3, 4, 5, 6, 7], async (some) => {
      if (some.length > 2) throw new MnerError('inference_poison', 'Too much for the memory.');
      return some;
    });
    expect(outcomes).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });

  it('stops the search when the host is gone: no row is blamed, and what has a result keeps it', async () => {
    let calls = 0;
    const outcomes = await runBisected<number, number>([0, 1, 2, 3], async (some) => {
      calls++;
      if (calls > 3) throw new MnerError('inference_unavailable');
      if (some.length > 2) throw new MnerError('inference_poison');
      return some;
    });
    expect(outcomes.slice(0, 2)).toEqual([0, 1]);
    for (const outcome of outcomes.slice(2)) expect(outcome).toMatchObject({ code: 'inference_unavailable' });
  });

  it('is not run again when no row can be at fault', async () => {
    let calls = 0;
    const outcomes = await runBisected<number, number>([0, 1], async () => {
      calls++;
      throw new Error('a defect');
    });
    expect(outcomes).toMatchObject([{ code: 'internal' }, { code: 'internal' }]);
    expect(calls).toBe(1);
  });
});
