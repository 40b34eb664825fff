import { afterEach, describe, expect, it } from 'vitest';
import { MnerError } from '#mner/errors.js';
import { transactionalId } from '#mner/stream/exactly-once.js';
import type { InputRecord } from '#mner/stream/port.js';
import { committed, desk, of, put, settle, setUp, startLanes, stopAll, written } from './lanes-world.js';
import { output, poison } from './records.js';

afterEach(stopAll);

const unavailable = () => new MnerError('broker_unavailable', 'The broker does not answer.');
const pass = async (record: InputRecord) => output(record);
const results = (events: Parameters<typeof of>[0]) => of(events, 'transaction').map(({ result }) => result);
const exactly = { delivery: 'exactly_once' } as const;

describe('exactly once', () => {
  it('commits outcomes and offset in one transaction, after a while or after so many records', async () => {
    const world = await setUp({ ...exactly, limits: { commitEveryRecords: 3, commitEveryMs: 500 } });
    const { until, events } = await startLanes(world, pass);
    put(world.broker, 0, 'a', 'b');
    await settle();
    expect(written(world.broker, 'out')).toEqual([]);
    world.clock.advance(500);
    await until(() => of(events, 'tweet').length === 2);
    expect(written(world.broker, 'out')).toEqual(['out 0:0', 'out 0:1']);
    expect(await committed(world.broker)).toBe(2n);
    put(world.broker, 0, 'c', 'd', 'e');
    await until(() => of(events, 'tweet').length === 5);
    expect(await committed(world.broker)).toBe(5n);
    // The first one said where reading began.
    expect(results(events)).toEqual(['committed', 'committed']);
  });

  it('commits at once where a lane has nothing left to finish, but not twice within half of the time', async () => {
    const world = await setUp({ ...exactly, limits: { commitEveryMs: 500 } });
    let finish: (() => void) | undefined;
    const { until, events } = await startLanes(world, async (record) => {
      if (record.offset === 3n) await new Promise<void>((resolve) => (finish = resolve));
      return output(record);
    });
    put(world.broker, 0, 'a');
    await settle();
    world.clock.advance(0);
    await until(() => of(events, 'tweet').length === 1);
    put(world.broker, 0, 'b');
    await settle();
    world.clock.advance(249);
    await settle();
    expect(of(events, 'tweet')).toHaveLength(1);
    world.clock.advance(1);
    await until(() => of(events, 'tweet').length === 2);
    // Another is on its way: the one that is done waits for it, for the whole time at most.
    world.clock.advance(1000);
    put(world.broker, 0, 'c', 'd');
    await settle();
    world.clock.advance(499);
    await settle();
    expect(of(events, 'tweet')).toHaveLength(2);
    world.clock.advance(1);
    await until(() => of(events, 'tweet').length === 3);
    finish?.();
    await settle();
    world.clock.advance(250);
    await until(() => of(events, 'tweet').length === 4);
    expect(await committed(world.broker)).toBe(4n);
  });

  it('writes dead letters, and what is too large, in the same transaction', async () => {
    const world = await setUp({ ...exactly, maxMessageBytes: 2000, limits: { commitEveryRecords: 4 } });
    put(world.broker, 0, 'a', 'b', 'c', 'd');
    const { until, events } = await startLanes(world, async (record) => {
      if (record.offset === 1n) return poison;
      return record.offset === 2n ? output(record, { value: Buffer.alloc(3000) }) : output(record);
    });
    await until(() => of(events, 'tweet').length === 4);
    expect(written(world.broker, 'out')).toEqual(['out 0:0', 'out 0:3']);
    expect(written(world.broker, 'dead')).toEqual(['b', 'c']);
    expect(of(events, 'dead_letter').map(({ code }) => code)).toEqual(['bad_json', 'output_too_large']);
    expect(results(events)).toEqual(['committed']);
    expect(await committed(world.broker)).toBe(4n);
  });

  it.each([
    ['that took effect', 'ended', ['out 0:0', 'out 0:1', 'out 0:2']],
    ['that did not', 'commit', ['out 0:0', 'out 0:1', 'out 0:2']],
  ] as const)('after the unknown outcome of a commit %s does neither less nor more', async (_, step, outputs) => {
    let lost = false;
    const transaction = {
      [step]: () => {
        if (!lost) return;
        lost = false;
        throw unavailable();
      },
    };
    const world = await setUp({ ...exactly, wire: { transaction }, limits: { commitEveryRecords: 2 } });
    const seen: bigint[] = [];
    const { until, events } = await startLanes(world, async (record) => {
      seen.push(record.offset);
      return output(record);
    });
    await settle();
    lost = true;
    put(world.broker, 0, 'a', 'b');
    await until(() => results(events).includes('unknown'));
    await settle();
    put(world.broker, 0, 'c');
    await settle();
    world.clock.advance(500);
    await until(() => results(events).at(-1) === 'committed');
    await settle();
    expect(written(world.broker, 'out')).toEqual(outputs);
    expect(await committed(world.broker)).toBe(3n);
    expect(of(events, 'note').map(({ message }) => message)).toEqual([
      'The broker does not answer. What is in flight is read again.',
    ]);
    expect(seen).toEqual(step === 'ended' ? [0n, 1n, 2n] : [0n, 1n, 0n, 1n, 2n]);
  });

  it('reads again what a failed write voided, and waits longer each time', async () => {
    let failures = 3;
    let armed = false;
    const world = await setUp({
      ...exactly,
      limits: { commitEveryRecords: 1 },
      wire: {
        send: () => {
          if (armed && failures-- > 0) throw unavailable();
        },
      },
    });
    put(world.broker, 0, 'a', 'b');
    armed = true;
    const { until, events } = await startLanes(world, pass);
    for (let round = 1; round <= 3; round += 1) {
      await until(() => results(events).length >= round);
      await settle();
      world.clock.advance(5000);
    }
    await until(() => of(events, 'tweet').length === 2);
    expect(results(events)).toEqual(['aborted', 'aborted', 'aborted', 'committed', 'committed']);
    expect(written(world.broker, 'out')).toEqual(['out 0:0', 'out 0:1']);
    expect(of(events, 'inflight').at(-1)?.bytes).toBe(0);
  });

  it('drops a lane whose producer is fenced, and opens it again if the group leaves it to us', async () => {
    const world = await setUp({ ...exactly, limits: { commitEveryRecords: 1 } });
    const lanes = await startLanes(world, pass);
    await settle();
    const other = await world.broker.transactions({
      id: transactionalId('g', { topic: 'in', partition: 0 }),
      timeoutMs: 1,
    });
    await other.begin();
    put(world.broker, 0, 'a');
    await lanes.until(() => results(lanes.events).length === 1);
    expect(results(lanes.events)).toEqual(['aborted']);
    expect(of(lanes.events, 'note').at(-1)?.message).toBe(
      'Another producer has taken over this partition. What is in flight is read again.',
    );
    // Meanwhile the other one does the work.
    await other.send({ topic: 'out', partition: 0 }, [{ key: null, value: Buffer.from('by the other'), headers: [] }]);
    await other.sendOffsets('g', [{ topic: 'in', partition: 0, offset: 1n }]);
    await other.commit();
    await settle();
    world.clock.advance(2000);
    put(world.broker, 0, 'b');
    await lanes.until(() => of(lanes.events, 'tweet').length === 1);
    expect(written(world.broker, 'out')).toEqual(['by the other', 'out 0:1']);
    await other.begin();
    await expect(other.commit()).rejects.toMatchObject({ code: 'producer_fenced' });
  });

  it('aborts the transaction of an epoch that ends in the middle of it', async () => {
    let hold: Promise<void> | undefined;
    let release = () => {};
    let sending = () => {};
    const world = await setUp({
      ...exactly,
      partitions: 2,
      limits: { commitEveryRecords: 2 },
      wire: {
        send: () => {
          if (hold) sending();
          return hold;
        },
      },
    });
    const first = await startLanes(world, pass);
    await settle();
    hold = new Promise((resolve) => {
      release = resolve;
    });
    const inside = new Promise<void>((resolve) => {
      sending = resolve;
    });
    put(world.broker, 1, 'a', 'b');
    await inside;
    // The second member is given partition 1, opens it, and reads it from its beginning.
    const second = await startLanes(world, pass);
    await settle();
    hold = undefined;
    release();
    await second.until(() => of(second.events, 'tweet').length === 2);
    await settle();
    expect(results(first.events)).toEqual(['aborted']);
    expect(written(world.broker, 'out')).toEqual(['out 1:0', 'out 1:1']);
    expect(await committed(world.broker, 1)).toBe(2n);
  });

  it('lets the new owner wait for a commit that is under way, and begin behind it', async () => {
    let hold: Promise<void> | undefined;
    let release = () => {};
    let committing = () => {};
    const world = await setUp({
      ...exactly,
      limits: { commitEveryRecords: 2 },
      wire: {
        transaction: {
          ended: () => {
            if (hold) committing();
            return hold;
          },
        },
      },
    });
    const first = await startLanes(world, pass);
    await settle();
    hold = new Promise((resolve) => {
      release = resolve;
    });
    const inside = new Promise<void>((resolve) => {
      committing = resolve;
    });
    put(world.broker, 0, 'a', 'b');
    await inside;
    hold = undefined;
    // A member comes and goes: the partition comes back under a new epoch while the old commit is not answered.
    const guest = world.broker.consumer({ topics: ['in'], group: 'g' });
    await guest.start({ assigned: () => {}, revoked: () => {}, records: async () => {}, failed: () => {} });
    await guest.stop();
    await first.until(() => of(first.events, 'rebalance').length > 0 && first.lanes.joined);
    await settle();
    release();
    put(world.broker, 0, 'c', 'd');
    await first.until(() => of(first.events, 'tweet').length === 4);
    expect(written(world.broker, 'out')).toEqual(['out 0:0', 'out 0:1', 'out 0:2', 'out 0:3']);
  });

  it('hands over nothing before the partition is open', async () => {
    let hold: Promise<void> | undefined = Promise.resolve();
    let release = () => {};
    hold = new Promise((resolve) => {
      release = resolve;
    });
    const world = await setUp({ ...exactly, wire: { rewind: () => hold } });
    put(world.broker, 0, 'a');
    const { process, open, take } = desk();
    await startLanes(world, process);
    await settle();
    expect(open).toHaveLength(0);
    release();
    expect((await take(1)).map(({ record }) => record.offset)).toEqual([0n]);
    await settle();
    expect(open).toHaveLength(0);
  });

  it('tries again to open a partition that it cannot', async () => {
    let failures = 2;
    const world = await setUp({
      ...exactly,
      limits: { commitEveryRecords: 1 },
      wire: {
        transaction: {
          begin: () => {
            if (failures-- > 0) throw unavailable();
          },
        },
      },
    });
    put(world.broker, 0, 'a');
    const { until, events } = await startLanes(world, pass);
    for (let round = 0; round < 2; round += 1) {
      await settle();
      world.clock.advance(5000);
    }
    await until(() => of(events, 'tweet').length === 1);
    expect(of(events, 'note')).toHaveLength(1);
  });

  it('ends when it may not open a partition', async () => {
    const begin = () => {
      throw new MnerError('not_authorised', 'Not this transactional id.');
    };
    const world = await setUp({ ...exactly, wire: { transaction: { begin } } });
    const { until, failures } = await startLanes(world, pass);
    await until(() => failures.length > 0);
    expect(failures.map(({ code }) => code)).toEqual(['not_authorised']);
  });

  it('keeps the place where a new group began at the end, through every fault', async () => {
    let lost = false;
    const world = await setUp({
      ...exactly,
      from: 'latest',
      limits: { commitEveryRecords: 2 },
      wire: {
        transaction: {
          commit: () => {
            if (lost) throw unavailable();
          },
        },
      },
    });
    put(world.broker, 0, 'old');
    const { until, events } = await startLanes(world, pass);
    await settle();
    expect(await committed(world.broker)).toBe(1n);
    lost = true;
    put(world.broker, 0, 'a', 'b');
    await until(() => results(events).length === 1);
    lost = false;
    await until(() => of(events, 'tweet').length === 2);
    expect(written(world.broker, 'out')).toEqual(['out 0:1', 'out 0:2']);
  });

  it('commits what is finished in a drain, and leaves the rest', async () => {
    const world = await setUp({ ...exactly, limits: { laneRecords: () => 3 } });
    const { take, process } = desk();
    put(world.broker, 0, 'a', 'b', 'c', 'd', 'e');
    const { lanes, events } = await startLanes(world, process);
    const taken = await take(3);
    taken[0]?.answer(output(taken[0].record));
    // Its place in process goes to the fourth; the fifth is never begun.
    taken.push(...(await take(1)));
    const drained = lanes.drain(5000);
    await settle();
    expect(await committed(world.broker)).toBe(1n);
    for (const { record, answer } of taken.slice(1)) answer(output(record));
    await drained;
    expect(await committed(world.broker)).toBe(4n);
    expect(written(world.broker, 'out')).toEqual(['out 0:0', 'out 0:1', 'out 0:2', 'out 0:3']);
    await lanes.stop();
    expect(new Set(results(events))).toEqual(new Set(['committed']));
  });
});
