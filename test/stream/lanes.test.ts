import { afterEach, describe, expect, it } from 'vitest';
import { MnerError } from '#mner/errors.js';
import { committed, desk, of, put, settle, setUp, startLanes, stopAll, written } from './lanes-world.js';
import { output, poison } from './records.js';

afterEach(stopAll);

describe('lanes', () => {
  it('write outcomes in the order of the input, whatever the order they finish in', async () => {
    const world = await setUp({ partitions: 3, outputPartitions: 2 });
    const { take, process } = desk();
    for (let i = 0; i < 9; i += 1) put(world.broker, i % 3, `tweet ${i}`);
    const { until, events } = await startLanes(world, process);
    for (const { record, answer } of (await take(9)).reverse()) answer(output(record));
    await until(() => of(events, 'tweet').length === 9);
    // Input partition modulo the output topic's two.
    const out = [0, 1].map((partition) => written(world.broker, 'out', partition));
    expect(out[0]?.filter((value) => value.startsWith('out 0'))).toEqual(['out 0:0', 'out 0:1', 'out 0:2']);
    expect(out[0]?.filter((value) => value.startsWith('out 2'))).toEqual(['out 2:0', 'out 2:1', 'out 2:2']);
    expect(out[1]).toEqual(['out 1:0', 'out 1:1', 'out 1:2']);
  });

  it('commit after acknowledgement only, at the latest after the time of the limits', async () => {
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const world = await setUp({ wire: { send: () => held } });
    const { take, process } = desk();
    put(world.broker, 0, 'a', 'b', 'c');
    const { until, events } = await startLanes(world, process);
    const [a, b] = await take(3);
    a?.answer(output(a.record));
    b?.answer(output(b.record));
    await settle();
    world.clock.advance(10_000);
    await settle();
    expect(await committed(world.broker)).toBeNull();
    release();
    await until(() => of(events, 'tweet').length === 2);
    expect(await committed(world.broker)).toBeNull();
    world.clock.advance(500);
    await until(() => of(events, 'stage').some(({ stage }) => stage === 'commit'));
    expect(await committed(world.broker)).toBe(2n);
  });

  it('commit at once after the number of records of the limits', async () => {
    const world = await setUp({ limits: { commitEveryRecords: 2 } });
    const { until, events } = await startLanes(world, async (record) => output(record));
    put(world.broker, 0, 'a', 'b');
    await until(() => of(events, 'stage').some(({ stage }) => stage === 'commit'));
    expect(await committed(world.broker)).toBe(2n);
  });

  it('send poison to the dead letters and go on', async () => {
    const world = await setUp();
    put(world.broker, 0, 'a', 'bad', 'c');
    const { until, events } = await startLanes(world, async (record) =>
      String(record.value) === 'bad' ? poison : output(record),
    );
    await until(() => of(events, 'tweet').length === 3);
    expect(written(world.broker, 'out')).toEqual(['out 0:0', 'out 0:2']);
    expect(written(world.broker, 'dead')).toEqual(['bad']);
    expect(of(events, 'dead_letter')).toEqual([{ type: 'dead_letter', code: 'bad_json' }]);
  });

  it('make a dead letter of an output that is too large, and write its neighbours', async () => {
    const world = await setUp({ maxMessageBytes: 1000 });
    put(world.broker, 0, 'a', 'b', 'c', 'd', 'e');
    const { until, events } = await startLanes(world, async (record) =>
      output(record, record.offset === 2n ? { value: Buffer.alloc(2000) } : {}),
    );
    await until(() => of(events, 'tweet').length === 5);
    expect(written(world.broker, 'out')).toEqual(['out 0:0', 'out 0:1', 'out 0:3', 'out 0:4']);
    expect(written(world.broker, 'dead')).toEqual(['c']);
    expect(of(events, 'dead_letter')).toEqual([{ type: 'dead_letter', code: 'output_too_large' }]);
  });

  it('do not wait for ever where a compacted output takes no record without a key: a dead letter, and its neighbours are out', async () => {
    const world = await setUp();
    world.broker.compact('out');
    const key = Buffer.from('k');
    world.broker.append('in', { key, value: Buffer.from('a') }, { value: Buffer.from('b') });
    world.broker.append('in', { key, value: Buffer.from('c') });
    const { until, events } = await startLanes(world, async (record) => output(record));
    await until(() => of(events, 'tweet').length === 3);
    expect(written(world.broker, 'out')).toEqual(['out 0:0', 'out 0:2']);
    expect(written(world.broker, 'dead')).toEqual(['b']);
    expect(of(events, 'dead_letter')).toEqual([{ type: 'dead_letter', code: 'output_refused' }]);
  });

  it('wait, and cut nothing off, where the dead letters are compacted and one has no key', async () => {
    const world = await setUp();
    world.broker.compact('dead');
    put(world.broker, 0, 'bad');
    const { until, events } = await startLanes(world, async () => poison);
    await until(() => of(events, 'note').length > 0);
    expect(of(events, 'note')[0]?.message).toMatch(/^Dead letters cannot be written\. .*compact/);
    expect(world.broker.read('dead')).toEqual([]);
    expect(await committed(world.broker)).toBeNull();
  });

  it('drop the value of a dead letter that is too large itself', async () => {
    const world = await setUp({ maxMessageBytes: 1000 });
    world.broker.append(
      'in',
      { value: Buffer.alloc(2000), key: Buffer.from('k1') },
      { value: Buffer.from('x'), headers: [['large', Buffer.alloc(2000)]], key: Buffer.from('k2') },
    );
    const { until, events } = await startLanes(world, async () => poison);
    await until(() => of(events, 'tweet').length === 2);
    const dead = world.broker.read('dead');
    expect(dead.map(({ key, value }) => [key === null ? null : String(key), value])).toEqual([
      ['k1', null],
      [null, null],
    ]);
    expect(dead.map(({ headers }) => headers.some(([name]) => name === 'mner-truncated'))).toEqual([true, true]);
  });

  it('write mentions by their own keys where they are wanted', async () => {
    const world = await setUp({ mentions: true });
    put(world.broker, 0, 'a');
    const mentions = [{ key: Buffer.from('per:ada'), value: Buffer.from('{}'), headers: [] }];
    const { until, events } = await startLanes(world, async (record) => output(record, { mentions }));
    await until(() => of(events, 'tweet').length === 1);
    expect(world.broker.read('mentions').map(({ key }) => String(key))).toEqual(['per:ada']);
  });

  it('wait out a broker that does not answer, and drop nothing', async () => {
    let down = true;
    const world = await setUp({
      wire: {
        send: () => {
          if (down) throw new MnerError('broker_unavailable');
        },
      },
    });
    put(world.broker, 0, 'a', 'b');
    const { until, events } = await startLanes(world, async (record) => output(record));
    await until(() => of(events, 'note').length === 1);
    for (let i = 2; i <= 4; i += 1) {
      world.clock.advance(5000);
      await until(() => of(events, 'note').length === i);
    }
    expect(written(world.broker, 'out')).toEqual([]);
    down = false;
    world.clock.advance(5000);
    await until(() => of(events, 'tweet').length === 2);
    expect(written(world.broker, 'out')).toEqual(['out 0:0', 'out 0:1']);
  });

  it('try a commit again that the broker did not take', async () => {
    let down = true;
    const world = await setUp({
      limits: { commitEveryRecords: 1 },
      wire: {
        commit: () => {
          if (down) throw new MnerError('broker_unavailable');
        },
      },
    });
    put(world.broker, 0, 'a');
    const { until, events } = await startLanes(world, async (record) => output(record));
    await until(() => of(events, 'note').length === 1);
    down = false;
    world.clock.advance(5000);
    await until(() => of(events, 'stage').some(({ stage }) => stage === 'commit'));
    expect(await committed(world.broker)).toBe(1n);
  });

  it('stop for good at a fatal error, and commit nothing after it', async () => {
    const world = await setUp({ limits: { commitEveryRecords: 1 } });
    put(world.broker, 0, 'a', 'b');
    const { lanes, until, failures } = await startLanes(world, async (record) => {
      if (record.offset === 0n) throw new MnerError('inference_unavailable');
      return output(record);
    });
    await until(() => failures.length > 0);
    await settle();
    expect(failures.map(({ code }) => code)).toEqual(['inference_unavailable']);
    expect(lanes.joined).toBe(false);
    expect(written(world.broker, 'out')).toEqual([]);
    expect(await committed(world.broker)).toBeNull();
  });

  it('try a record again whose processing failed for now', async () => {
    const world = await setUp();
    put(world.broker, 0, 'a');
    let calls = 0;
    let called = () => {};
    const first = new Promise<void>((resolve) => {
      called = resolve;
    });
    const { until, events } = await startLanes(world, async (record) => {
      calls += 1;
      called();
      if (calls === 1) throw new MnerError('broker_unavailable');
      return output(record);
    });
    await first;
    await settle();
    world.clock.advance(5000);
    await until(() => of(events, 'tweet').length === 1);
    expect(calls).toBe(2);
  });
});
