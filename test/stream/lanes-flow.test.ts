import { afterEach, describe, expect, it } from 'vitest';
import { MnerError } from '#mner/errors.js';
import { createLanes } from '#mner/stream/lanes.js';
import type { InputRecord } from '#mner/stream/port.js';
import type { Event } from '#mner/telemetry/events.js';
import { committed, desk, of, put, settle, setUp, startLanes, stopAll, written } from './lanes-world.js';
import { output } from './records.js';

afterEach(stopAll);

describe('lanes in a rebalance', () => {
  it('drop results of the older epoch, and the new owner does them again', async () => {
    const world = await setUp({ partitions: 2 });
    const one = desk();
    put(world.broker, 0, 'a');
    put(world.broker, 1, 'b');
    const first = await startLanes(world, one.process);
    const old = await one.take(2);
    const two = desk();
    const second = await startLanes(world, two.process);
    expect(old.every(({ signal }) => signal.aborted)).toBe(true);
    const [again] = await one.take(1);
    const [taken] = await two.take(1);
    expect([again?.record.partition, taken?.record.partition].sort()).toEqual([0, 1]);
    for (const { record, answer } of old) answer(output(record, { value: Buffer.from('void') }));
    await settle();
    expect(written(world.broker, 'out')).toEqual([]);
    again?.answer(output(again.record));
    taken?.answer(output(taken.record));
    await first.until(() => of(first.events, 'tweet').length === 1);
    await second.until(() => of(second.events, 'tweet').length === 1);
    expect(written(world.broker, 'out').sort()).toEqual(['out 0:0', 'out 1:0']);
    expect(of(first.events, 'rebalance')).toHaveLength(1);
    expect(of(first.events, 'lane_lost')).toHaveLength(1);
    expect(of(first.events, 'inflight').at(-1)?.bytes).toBe(0);
  });

  it('commit nothing for a partition that is lost', async () => {
    const world = await setUp({ partitions: 1 });
    put(world.broker, 0, 'a');
    const first = await startLanes(world, async (record) => output(record));
    await first.until(() => of(first.events, 'tweet').length === 1);
    const second = await startLanes(world, async (record) => output(record));
    world.clock.advance(0);
    await first.until(() => first.lanes.joined);
    // Whoever has it now reads it again; only then may it be committed.
    await Promise.race([
      first.until(() => of(first.events, 'tweet').length === 2),
      second.until(() => of(second.events, 'tweet').length === 1),
    ]);
    expect(await committed(world.broker)).toBeNull();
    world.clock.advance(500);
    await settle();
    expect(await committed(world.broker)).toBe(1n);
  });

  it('do not let a write of the older epoch land behind a newer one', async () => {
    let hold: Promise<void> | undefined;
    let release = () => {};
    const world = await setUp({ wire: { send: () => hold } });
    hold = new Promise<void>((resolve) => {
      release = resolve;
    });
    put(world.broker, 0, 'a', 'b');
    const lanes = await startLanes(world, async (record) => output(record));
    await settle();
    // A member comes and goes: the partition comes back to the first, whose write is still under way.
    const guest = world.broker.consumer({ topics: ['in'], group: 'g' });
    await guest.start({ assigned: () => {}, revoked: () => {}, records: async () => {}, failed: () => {} });
    await guest.stop();
    await lanes.until(() => of(lanes.events, 'rebalance').length > 0 && lanes.lanes.joined);
    await settle();
    expect(written(world.broker, 'out')).toEqual([]);
    release();
    hold = undefined;
    await lanes.until(() => of(lanes.events, 'tweet').length === 4);
    expect(written(world.broker, 'out')).toEqual(['out 0:0', 'out 0:1', 'out 0:0', 'out 0:1']);
  });

  it('begin anew where the log itself begins anew', async () => {
    const world = await setUp();
    const consumer = world.broker.consumer({ topics: ['in'], group: 'other' });
    let handlers: Parameters<typeof consumer.start>[0] | undefined;
    const events: Event[] = [];
    const { take, process } = desk();
    const lanes = createLanes({
      consumer: {
        ...consumer,
        async start(given) {
          handlers = given;
        },
        commit: async () => {},
      },
      process,
      delivery: { commits: 'itself', deliver: async (_, finished) => finished },
      failed: () => {},
      clock: world.clock,
      emit: (event) => events.push(event),
    });
    await lanes.start();
    const at = (offset: bigint): InputRecord => ({
      ...{ topic: 'in', partition: 0, key: null, value: null, headers: [], timestamp: 0 },
      offset,
    });
    handlers?.assigned([{ topic: 'in', partition: 0 }]);
    await handlers?.records([at(500n)], 501n);
    await handlers?.records([at(0n)], 1n);
    const taken = await take(2);
    for (const { record, answer } of taken) answer(output(record));
    await settle();
    world.clock.advance(500);
    await settle();
    expect(of(events, 'note').map(({ level }) => level)).toEqual(['error']);
    expect(of(events, 'tweet')).toHaveLength(1);
    expect(of(events, 'inflight').at(-1)?.bytes).toBe(0);
    await lanes.stop();
  });
});

describe('lanes under back-pressure', () => {
  it('pause all partitions above the limit and resume below half, once each', async () => {
    const kilobytes = (n: number) => Buffer.alloc(n * 1024);
    const world = await setUp({ partitions: 2, limits: { inflightBytes: 40 * 1024 } });
    const { take, process, open } = desk();
    const { until, events } = await startLanes(world, process);
    const tweet = { value: kilobytes(9) };
    world.broker.append('in', tweet, tweet, tweet, tweet, tweet);
    await until(() => of(events, 'paused').some(({ partitions }) => partitions === 2));
    const first = await take(5);
    for (const partition of [0, 1]) world.broker.append('in', { ...tweet, partition });
    await settle();
    expect(open).toHaveLength(0);
    expect(of(events, 'inflight').at(-1)?.bytes).toBe(50 * 1024);
    const done = ({ record, answer }: (typeof first)[number]) => answer(output(record, { value: null }));
    // Down to 30 KiB is not enough, down to 20 KiB is.
    for (const one of first.slice(0, 2)) done(one);
    await settle();
    expect(open).toHaveLength(0);
    for (const one of first.slice(2)) done(one);
    for (const one of await take(2)) done(one);
    await until(() => of(events, 'tweet').length === 7);
    expect(of(events, 'tweet').every(({ outcome }) => outcome === 'tombstone')).toBe(true);
    expect(of(events, 'inflight').at(-1)?.bytes).toBe(0);
    const changes = of(events, 'paused').map(({ partitions }) => partitions);
    expect(changes).toEqual([0, 2, 0]);
  });

  it('pause one partition whose oldest record has been here for too long, while the others go on', async () => {
    const world = await setUp({ partitions: 2, limits: { inflightAgeMs: 1000, reportEveryMs: 100 } });
    const { take, process, open } = desk();
    const { events } = await startLanes(world, process);
    put(world.broker, 0, 'slow');
    const [slow] = await take(1);
    world.clock.advance(1100);
    put(world.broker, 0, 'later');
    put(world.broker, 1, 'quick');
    const [quick] = await take(1);
    await settle();
    expect([quick?.record.partition, open.length]).toEqual([1, 0]);
    expect(of(events, 'paused').map(({ partitions }) => partitions)).toEqual([0, 1]);
    slow?.answer(output(slow.record));
    expect((await take(1)).map(({ record }) => String(record.value))).toEqual(['later']);
    expect(of(events, 'paused').map(({ partitions }) => partitions)).toEqual([0, 1, 0]);
    // A rebalance forgets what was paused.
    world.clock.advance(1100);
    await settle();
    const guest = world.broker.consumer({ topics: ['in'], group: 'g' });
    await guest.start({ assigned: () => {}, revoked: () => {}, records: async () => {}, failed: () => {} });
    await guest.stop();
    await settle();
    const ours = open.filter(({ signal }) => !signal.aborted).map(({ record }) => String(record.value));
    expect(ours.sort()).toEqual(['later', 'quick']);
    expect(of(events, 'paused').at(-1)?.partitions).toBe(0);
  });

  it.each([
    { by: 'bytes', limits: { inflightBytes: 200 * 1024 } },
    { by: 'age', limits: { inflightAgeMs: 5000 } },
  ])('do not flip between pausing and resuming under a steady overload, by $by', async ({ limits }) => {
    const world = await setUp({ limits: { ...limits, reportEveryMs: 100, laneRecords: () => 2 } });
    const { process, open } = desk();
    const { events } = await startLanes(world, process);
    const tweets = () => of(events, 'tweet').length;
    // Ten times as many come as are answered; the first ones meet an empty lane.
    for (let tenth = 0; tenth < 2000; tenth += 1) {
      put(world.broker, 0, 'a tweet');
      if (tenth % 10 === 0) for (const { record, answer } of open.splice(0, 1)) answer(output(record));
      world.clock.advance(100);
      await settle();
    }
    expect(tweets()).toBeGreaterThan(190);
    const pauses = of(events, 'paused').filter(({ partitions }) => partitions > 0).length;
    expect(pauses).toBeGreaterThan(0);
    // Each time it holds some hundred records, and gets rid of half of them at least before it reads again.
    expect(pauses).toBeLessThan(tweets() / 50);
  });

  it('process no more records of a lane at once than the limit', async () => {
    const world = await setUp({ limits: { laneRecords: () => 2 } });
    const { take, process, open } = desk();
    put(world.broker, 0, 'a', 'b', 'c');
    await startLanes(world, process);
    const [a] = await take(2);
    await settle();
    expect(open).toHaveLength(0);
    a?.answer(output(a.record));
    expect((await take(1)).map(({ record }) => String(record.value))).toEqual(['c']);
  });
});

describe('draining lanes', () => {
  it('finish and commit what was begun, and leave the rest', async () => {
    const world = await setUp({ limits: { laneRecords: () => 2 } });
    const { take, process } = desk();
    put(world.broker, 0, 'a', 'b', 'c', 'd');
    const { lanes } = await startLanes(world, process);
    const begun = await take(2);
    const drained = lanes.drain(5000);
    put(world.broker, 0, 'e');
    for (const { record, answer } of begun) answer(output(record));
    await drained;
    expect(written(world.broker, 'out')).toEqual(['out 0:0', 'out 0:1']);
    expect(await committed(world.broker)).toBe(2n);
    await lanes.stop();
    await lanes.stop();
  });

  it('let go of what has not begun when half of the time is over, and finish the rest', async () => {
    const world = await setUp();
    const { take, process } = desk();
    put(world.broker, 0, 'a', 'b', 'c', 'd', 'e');
    const { lanes, events, failures } = await startLanes(world, process);
    const [a, b, c, d, e] = await take(5);
    d?.answer(output(d.record));
    const drained = lanes.drain(5000);
    world.clock.advance(2499);
    expect(a?.signal.aborted).toBe(false);
    world.clock.advance(1);
    expect(a?.signal.aborted).toBe(true);
    // `a` and `b` are in a batch; `d` is done, but behind one that is not.
    c?.refuse(new MnerError('inference_unavailable', 'Nobody waits for this row any more.'));
    await settle();
    b?.answer(output(b.record));
    a?.answer(output(a.record));
    await drained;
    expect(written(world.broker, 'out')).toEqual(['out 0:0', 'out 0:1']);
    expect([await committed(world.broker), failures]).toEqual([2n, []]);
    // The memory of what is still in a batch is free only when it comes back.
    expect(of(events, 'inflight').at(-1)?.bytes).toBeGreaterThan(0);
    e?.answer(output(e.record));
    await settle();
    expect(of(events, 'inflight').at(-1)?.bytes).toBe(0);
    await lanes.stop();
    const next = await startLanes(world, async (record) => output(record));
    await next.until(() => written(world.broker, 'out').length === 5);
    expect(written(world.broker, 'out')).toEqual([0, 1, 2, 3, 4].map((at) => `out 0:${at}`));
  });

  it.each([{}, { retryBudgetMs: 1 }])(
    'do not take what fails when they have let go of it for a fault of the record (%o)',
    async (limits) => {
      const world = await setUp({ limits });
      put(world.broker, 0, 'a');
      const { lanes, failures } = await startLanes(world, async (_, signal) => {
        signal.throwIfAborted();
        throw new MnerError('picture_unavailable');
      });
      const drained = lanes.drain(5000);
      await settle();
      world.clock.advance(2500);
      await drained;
      expect([failures, written(world.broker, 'dead'), await committed(world.broker)]).toEqual([[], [], null]);
    },
  );

  it('tell when the deadline passes', async () => {
    const world = await setUp();
    const { take, process } = desk();
    put(world.broker, 0, 'a');
    const { lanes } = await startLanes(world, process);
    await take(1);
    const drained = lanes.drain(5000);
    world.clock.advance(5000);
    await expect(drained).rejects.toMatchObject({ code: 'drain_timed_out' });
  });

  it('are done at once when they hold nothing, and may be stopped before they start', async () => {
    const world = await setUp();
    const { lanes } = await startLanes(world, async (record) => output(record));
    await lanes.drain(5000);
    await lanes.stop();
    const never = createLanes({
      consumer: world.broker.consumer({ topics: ['in'], group: 'g' }),
      process: async (record) => output(record),
      delivery: { commits: 'itself', deliver: async (_, finished) => finished },
      failed: () => {},
    });
    await never.stop();
    await never.start();
    expect(never.joined).toBe(false);
  });
});

describe('what lanes tell', () => {
  it('how far behind each lane is, and how old its oldest record is', async () => {
    const world = await setUp({ partitions: 1, limits: { reportEveryMs: 1000 } });
    const { take, process } = desk();
    put(world.broker, 0, 'a', 'b', 'c');
    const { events, until } = await startLanes(world, process);
    const [a] = await take(3);
    world.clock.advance(3000);
    const topic = { type: 'lane', topic: 'in', partition: 0 };
    expect(of(events, 'lane').at(-1)).toEqual({ ...topic, oldestSeconds: 3, lag: 3 });
    a?.answer(output(a.record));
    await until(() => of(events, 'end_to_end').length === 1);
    expect(of(events, 'end_to_end')[0]?.seconds).toBe(3);
    world.clock.advance(1000);
    expect(of(events, 'lane').at(-1)).toEqual({ ...topic, oldestSeconds: 4, lag: 2 });
  });
});
