import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createLane, heldBytes, LANE_TRANSITIONS, type Lane } from '#mner/stream/lane.js';
import { output, poison, record } from './records.js';

const UNLIMITED = { records: 1000, bytes: 1e9 };
const records = (...offsets: number[]) => offsets.map((offset) => record(offset));
const offsets = (lane: Lane, limits = UNLIMITED) =>
  lane.take(limits)?.finished.map(({ record }) => Number(record.offset));

function laneWith(...given: number[]): Lane {
  const lane = createLane('in', 0);
  lane.arrive(records(...given), BigInt((given.at(-1) ?? -1) + 1));
  lane.start(1000);
  return lane;
}

const finish = (lane: Lane, offset: number) => lane.finish(BigInt(offset), output(record(offset)));

describe('a lane', () => {
  it('delivers nothing past a record that is not finished', () => {
    const lane = laneWith(0, 1, 2);
    finish(lane, 2);
    finish(lane, 1);
    expect(offsets(lane)).toBeUndefined();
    finish(lane, 0);
    expect(offsets(lane)).toEqual([0, 1, 2]);
  });

  it('commits one past the last record, also where offsets have gaps', () => {
    const lane = laneWith(3, 7, 8, 20);
    for (const offset of [3, 7, 8]) finish(lane, offset);
    expect(lane.watermark).toBeUndefined();
    expect(lane.take(UNLIMITED)?.nextOffset).toBe(9n);
    expect(lane.watermark).toBeUndefined();
    lane.acknowledge();
    expect(lane.watermark).toBe(9n);
    expect(lane.expected).toBe(21n);
    expect(lane.oldest?.offset).toBe(20n);
    expect(lane.lag).toBe(12);
  });

  it('counts what could be delivered now', () => {
    const lane = laneWith(0, 1, 2, 3);
    const counts = [lane.ready];
    for (const offset of [1, 0, 3]) {
      finish(lane, offset);
      counts.push(lane.ready);
    }
    expect(counts).toEqual([0, 0, 2, 2]);
    lane.take({ records: 1, bytes: 1e9 });
    lane.acknowledge();
    expect(lane.ready).toBe(1);
    finish(lane, 2);
    expect(lane.ready).toBe(3);
    lane.close();
    expect(lane.ready).toBe(0);
  });

  it('has one batch out at a time', () => {
    const lane = laneWith(0, 1);
    finish(lane, 0);
    expect(offsets(lane)).toEqual([0]);
    finish(lane, 1);
    expect(offsets(lane)).toBeUndefined();
    lane.acknowledge();
    expect(offsets(lane)).toEqual([1]);
  });

  it('keeps a batch that could not be written until it is', () => {
    const lane = laneWith(0);
    finish(lane, 0);
    lane.take(UNLIMITED);
    lane.stumble();
    expect([lane.state, lane.size]).toEqual(['waiting', 1]);
    expect(() => lane.acknowledge()).toThrow('A lane that is waiting cannot acknowledge.');
    lane.recover();
    lane.acknowledge();
    expect([lane.state, lane.size, lane.bytes]).toEqual(['ready', 0, 0]);
  });

  it('starts no more records than are allowed at once', () => {
    const lane = createLane('in', 0);
    lane.arrive(records(0, 1, 2, 3), 4n);
    expect(lane.start(2).map(({ offset }) => offset)).toEqual([0n, 1n]);
    expect(lane.start(2)).toEqual([]);
    finish(lane, 1);
    expect(lane.start(2).map(({ offset }) => offset)).toEqual([2n]);
    expect(lane.processing).toBe(2);
  });

  it('limits a batch by records and bytes, and lets one pass that is larger alone', () => {
    const lane = createLane('in', 0);
    lane.arrive(records(0, 1, 2, 3), 4n);
    for (const one of lane.start(4)) lane.finish(one.offset, output(one, { value: Buffer.alloc(100) }));
    expect(offsets(lane, { records: 3, bytes: 1e9 })).toEqual([0, 1, 2]);
    lane.acknowledge();
    expect(offsets(lane, { records: 3, bytes: 10 })).toEqual([3]);
  });

  it('counts what a dead letter will carry', () => {
    const lane = createLane('in', 0);
    const large = [0, 1].map((offset) => record(offset, { value: Buffer.alloc(1000) }));
    lane.arrive(large, 2n);
    for (const one of lane.start(2)) lane.finish(one.offset, poison);
    expect(offsets(lane, { records: 9, bytes: 1500 })).toEqual([0]);
  });

  it('gives up what was not started', () => {
    const lane = createLane('in', 0);
    const arrived = lane.arrive(records(0, 1, 2), 3n);
    lane.start(1);
    expect(lane.dropUnstarted()).toBe((arrived / 3) * 2);
    finish(lane, 0);
    expect(offsets(lane)).toEqual([0]);
    expect(lane.acknowledge()).toBe(arrived / 3);
    expect(lane.size).toBe(0);
  });

  it('drops everything once it is closed, and keeps the bytes of what is in process', () => {
    const lane = laneWith(0, 1, 2);
    finish(lane, 0);
    lane.take(UNLIMITED);
    expect(lane.close()).toBe(heldBytes(record(0)));
    expect(lane.close()).toBe(0);
    expect(finish(lane, 1)).toBe(false);
    lane.acknowledge();
    lane.stumble();
    lane.recover();
    expect([lane.state, lane.size, lane.bytes, lane.watermark]).toEqual(['closed', 0, 0, undefined]);
    expect(lane.arrive(records(3), 4n)).toBe(0);
    expect(lane.start(10)).toEqual([]);
  });

  it('refuses a record that came before', () => {
    const lane = laneWith(5);
    expect(() => lane.arrive(records(5), 6n)).toThrow('came twice');
  });

  it('has a state for each event of the table, and no way out of closed', () => {
    const events = ['take', 'acknowledge', 'stumble', 'recover', 'close'] as const;
    expect(events.map((event) => LANE_TRANSITIONS.closed[event])).toEqual(events.map(() => 'closed'));
    const states = ['ready', 'delivering', 'waiting'] as const;
    expect(states.map((state) => LANE_TRANSITIONS[state].close)).toEqual(states.map(() => 'closed'));
  });
});

describe('a lane under any order of events', () => {
  const step = fc.oneof(
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constant('arrive' as const), gaps: fc.array(fc.nat(3), { maxLength: 6 }) }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('start' as const), limit: fc.nat(8) }) },
    { weight: 6, arbitrary: fc.record({ do: fc.constant('finish' as const), which: fc.nat(1000) }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('take' as const), records: fc.integer({ min: 1, max: 5 }) }) },
    {
      weight: 3,
      arbitrary: fc.record({ do: fc.constantFrom('acknowledge' as const, 'stumble' as const, 'recover' as const) }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('dropUnstarted' as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('abandon' as const), which: fc.nat(1000) }) },
  );

  it('keeps the order, commits nothing that is not acknowledged, and counts its bytes', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const lane = createLane('in', 0);
        const arrived: bigint[] = [];
        const delivered: bigint[] = [];
        let inProcess: bigint[] = [];
        let out: bigint[] = [];
        let next = 0n;
        let bytes = 0;
        /** Given up while in process: void when they come back. A drain does that, and nothing arrives any more. */
        let given: bigint[] = [];
        let draining = false;
        for (const one of steps) {
          if (one.do === 'arrive') {
            if (draining) continue;
            const fresh = one.gaps.map((gap) => {
              next += BigInt(gap) + 1n;
              return record(next - 1n);
            });
            arrived.push(...fresh.map(({ offset }) => offset));
            bytes += lane.arrive(fresh, next);
          } else if (one.do === 'start') {
            inProcess.push(...lane.start(one.limit).map(({ offset }) => offset));
          } else if (one.do === 'finish' && inProcess.length > 0) {
            const offset = inProcess[one.which % inProcess.length] ?? 0n;
            inProcess = inProcess.filter((other) => other !== offset);
            expect(lane.finish(offset, output(record(offset)))).toBe(!given.includes(offset));
          } else if (one.do === 'take') {
            const batch = lane.take({ records: one.records, bytes: 1e9 });
            if (batch) {
              out = batch.finished.map(({ record }) => record.offset);
              expect(batch.nextOffset).toBe((out.at(-1) ?? -1n) + 1n);
            }
          } else if (one.do === 'acknowledge' && lane.state === 'delivering') {
            bytes -= lane.acknowledge();
            delivered.push(...out);
          } else if (one.do === 'stumble' && lane.state === 'delivering') lane.stumble();
          else if (one.do === 'recover' && lane.state === 'waiting') lane.recover();
          else if (one.do === 'dropUnstarted') {
            const before = lane.size;
            bytes -= lane.dropUnstarted();
            arrived.splice(arrived.length - (before - lane.size));
          } else if (one.do === 'abandon' && inProcess.length > 0) {
            const offset = inProcess[one.which % inProcess.length] ?? 0n;
            inProcess = inProcess.filter((other) => other !== offset);
            draining = true;
            const freed = lane.abandon(offset);
            if (given.includes(offset)) expect(freed).toBe(0);
            else {
              const gone = arrived.splice(arrived.indexOf(offset));
              const held = gone.filter((other) => other === offset || inProcess.includes(other));
              given = [...given, ...held];
              const bytesOf = (some: readonly bigint[]) =>
                some.reduce((sum, other) => sum + heldBytes(record(other)), 0);
              expect(freed).toBe(bytesOf(gone) - bytesOf(held));
              bytes -= bytesOf(gone);
            }
          }
          // What is delivered is exactly the beginning of what arrived, in order: nothing past an unfinished record.
          expect(delivered).toEqual(arrived.slice(0, delivered.length));
          const last = delivered.at(-1);
          expect(lane.watermark).toBe(last === undefined ? undefined : last + 1n);
          for (const offset of inProcess) expect(lane.watermark ?? 0n).toBeLessThanOrEqual(offset);
          expect(lane.bytes).toBe(bytes);
          expect(lane.processing).toBe(inProcess.length);
        }
      }),
      { numRuns: 200 },
    );
  });
});
