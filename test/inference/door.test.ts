import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { manualClock } from '#mner/clock.js';
import { createDoor } from '#mner/inference/door.js';

const settle = () => new Promise((resolve) => setImmediate(resolve));

/** A door, and who came through it in which order. */
function setUp({ capacity = 100, patienceMs = 50 } = {}) {
  const clock = manualClock();
  const door = createDoor({ capacity, patienceMs, clock });
  const entered: string[] = [];
  const leave = new Map<string, () => void>();
  const come = (name: string, weight: number, priority: 'live' | 'replay' = 'live', signal?: AbortSignal) =>
    door.enter(weight, priority, signal).then(
      (leaves) => {
        entered.push(name);
        leave.set(name, leaves);
      },
      (reason: unknown) => void entered.push(`${name} gave up: ${reason}`),
    );
  return { clock, door, entered, leave: (name: string) => leave.get(name)!(), come };
}

describe('the door, whoever comes', () => {
  const guests = fc.array(
    fc.record({
      weight: fc.oneof(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 300 })),
      priority: fc.constantFrom('live' as const, 'replay' as const),
      /** Who of those inside leaves after it came, by its place. */
      leaves: fc.option(fc.nat(5)),
      givesUp: fc.boolean(),
      after: fc.integer({ min: 0, max: 30 }),
    }),
    { maxLength: 40 },
  );

  it('never lets in more than there is room for, but for one alone; lets everybody in, in the order of their turns', async () => {
    await fc.assert(
      fc.asyncProperty(guests, async (list) => {
        const clock = manualClock();
        const door = createDoor({ capacity: 100, patienceMs: 50, clock });
        const inside: { weight: number; leave: () => void }[] = [];
        const order: { turn: number; came: number }[] = [];
        const waiting: AbortController[] = [];
        let gaveUp = 0;
        let entered = 0;
        let full = false;
        const look = () => {
          const held = inside.reduce((sum, { weight }) => sum + weight, 0);
          expect(door.held).toBe(held);
          if (inside.length > 1) expect(held).toBeLessThanOrEqual(100);
        };
        for (const [came, { weight, priority, leaves, givesUp, after }] of list.entries()) {
          clock.advance(after);
          const abort = new AbortController();
          const turn = clock.now() + (priority === 'live' ? 0 : 50);
          const entering = door.enter(weight, priority, abort.signal);
          if (givesUp) waiting.push(abort);
          entering.then(
            (leave) => {
              entered++;
              inside.push({ weight, leave });
              if (full) order.push({ turn, came });
            },
            () => {
              gaveUp++;
            },
          );
          await settle();
          look();
          if (leaves !== null && inside.length > 0) {
            inside.splice(leaves % inside.length, 1)[0]!.leave();
            await settle();
            look();
          }
        }
        // Nobody comes any more: from here on they enter strictly by their turns.
        full = true;
        for (const abort of waiting) abort.abort('enough');
        await settle();
        order.length = 0;
        while (inside.length > 0) {
          inside.shift()!.leave();
          await settle();
          look();
        }
        expect(door.waiting).toBe(0);
        expect(door.held).toBe(0);
        expect(entered + gaveUp).toBe(list.length);
        const sorted = [...order].sort((a, b) => a.turn - b.turn || a.came - b.came);
        expect(order).toEqual(sorted);
      }),
      { numRuns: 60 },
    );
  });
});

describe('the door', () => {
  it('keeps who finds no room, and lets him in when somebody leaves', async () => {
    const { door, entered, come, leave } = setUp();
    void come('a', 60);
    void come('b', 60);
    await settle();
    expect([entered, door.waiting, door.held]).toEqual([['a'], 1, 60]);
    leave('a');
    await settle();
    expect([entered, door.waiting, door.held]).toEqual([['a', 'b'], 0, 60]);
  });

  it('lets nobody small slip past somebody large, who would wait for ever', async () => {
    const { entered, come, leave } = setUp();
    for (const [name, weight] of [['a', 60] as const, ['large', 90] as const, ['small', 5] as const])
      void come(name, weight);
    await settle();
    expect(entered).toEqual(['a']);
    leave('a');
    await settle();
    expect(entered).toEqual(['a', 'large', 'small']);
  });

  it('lets what is larger than the room in alone', async () => {
    const { entered, come, leave } = setUp();
    void come('a', 10);
    void come('giant', 1000);
    void come('b', 10);
    await settle();
    leave('a');
    await settle();
    expect(entered).toEqual(['a', 'giant']);
    leave('giant');
    await settle();
    expect(entered).toEqual(['a', 'giant', 'b']);
  });

  it('lets live ones in before a replay, until its patience is over', async () => {
    const { clock, entered, come, leave } = setUp();
    void come('a', 100);
    void come('replay', 100, 'replay');
    clock.advance(49);
    void come('live', 100);
    clock.advance(2);
    void come('later', 100);
    for (const name of ['a', 'live', 'replay']) {
      await settle();
      leave(name);
    }
    await settle();
    expect(entered).toEqual(['a', 'live', 'replay', 'later']);
  });

  it('forgets who gives up, and lets in whom he held up', async () => {
    const { door, entered, come } = setUp();
    const abort = new AbortController();
    void come('a', 60);
    void come('large', 90, 'live', abort.signal);
    void come('small', 5);
    await settle();
    abort.abort('revoked');
    await settle();
    expect(entered).toEqual(['a', 'large gave up: revoked', 'small']);
    expect([door.waiting, door.held]).toEqual([0, 65]);
    void come('late', 1, 'live', abort.signal);
    await settle();
    expect(entered.at(-1)).toBe('late gave up: revoked');
  });
});
