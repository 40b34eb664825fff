import { afterEach, describe, expect, it } from 'vitest';
import { MnerError } from '#mner/errors.js';
import type { Process } from '#mner/stream/outcome.js';
import type { Event } from '#mner/telemetry/events.js';
import { committed, of, put, settle, setUp, startLanes, stopAll, written } from './lanes-world.js';
import { output, poison } from './records.js';

afterEach(stopAll);

const DELIVERIES = ['at_least_once', 'exactly_once'] as const;
/** Lets time go by in steps, so that whatever waits for a while goes on when its turn comes. */
const pass = async (clock: { advance(ms: number): void }, ms: number) => {
  for (let at = 0; at < ms; at += 500) {
    clock.advance(500);
    await settle();
  }
};
const attemptsOf = (headers: readonly (readonly [string, Buffer])[]) =>
  headers.filter(([name]) => name === 'mner-attempts').map(([, value]) => String(value));

describe('a lane that cannot be written', () => {
  it('reads no more when its retry budget is spent, while the others go on, and reads on once it can', async () => {
    let broken = true;
    const send = (to: { partition: number }) => {
      if (broken && to.partition === 0) throw new MnerError('broker_unavailable', 'Leader of 0 is away.');
    };
    const world = await setUp({ partitions: 2, wire: { send }, limits: { retryBudgetMs: 10_000 } });
    put(world.broker, 0, 'a');
    const lanes = await startLanes(world, async (record) => output(record));
    await pass(world.clock, 20_000);
    expect(of(lanes.events, 'degraded')).toEqual([{ type: 'degraded', reason: 'delivery', on: true }]);
    put(world.broker, 0, 'b');
    put(world.broker, 1, 'c');
    await pass(world.clock, 20_000);
    expect(written(world.broker, 'out', 1)).toEqual(['out 1:0']);
    const held = of(lanes.events, 'inflight').at(-1)?.bytes;
    put(world.broker, 0, ...Array.from({ length: 100 }, () => 'more'));
    await pass(world.clock, 5000);
    expect(of(lanes.events, 'inflight').at(-1)?.bytes).toBe(held);
    broken = false;
    await pass(world.clock, 10_000);
    expect(written(world.broker, 'out', 0)).toHaveLength(102);
    expect(of(lanes.events, 'degraded').at(-1)).toEqual({ type: 'degraded', reason: 'delivery', on: false });
    expect(lanes.failures).toEqual([]);
  });

  /** What `mner_degraded{reason="delivery"}` was, in order. */
  const degraded = (events: readonly Event[]) => of(events, 'degraded').map(({ on }) => on);
  const errors = (events: readonly Event[]) => of(events, 'note').filter(({ level }) => level === 'error');

  it.each([
    ['begin', 'at the start'],
    ['rewind', 'at the start'],
    ['send', 'later'],
    ['offsets', 'later'],
    ['commit', 'later'],
  ] as const)('exactly once says so as well, when `%s` fails %s for longer than the budget', async (what, when) => {
    let broken = when === 'at the start';
    const fail = () => {
      if (broken) throw new MnerError('broker_unavailable', 'It is away.');
    };
    const wire = what === 'send' || what === 'rewind' ? { [what]: fail } : { transaction: { [what]: fail } };
    const world = await setUp({ wire, delivery: 'exactly_once', limits: { retryBudgetMs: 10_000 } });
    const lanes = await startLanes(world, async (record) => output(record));
    if (!broken) {
      put(world.broker, 0, 'before');
      await pass(world.clock, 2000);
      expect(await committed(world.broker)).toBe(1n);
    }
    broken = true;
    put(world.broker, 0, 'a');
    await pass(world.clock, 9000);
    expect(degraded(lanes.events)).toEqual([]);
    put(world.broker, 0, 'b');
    await pass(world.clock, 60_000);
    expect(degraded(lanes.events)).toEqual([true]);
    expect(errors(lanes.events)).toHaveLength(1);
    broken = false;
    await pass(world.clock, 20_000);
    expect(degraded(lanes.events)).toEqual([true, false]);
    const all = when === 'later' ? 3 : 2;
    expect(written(world.broker, 'out')).toHaveLength(all);
    expect([await committed(world.broker), lanes.failures]).toEqual([BigInt(all), []]);
  });

  it.each(DELIVERIES)('waits for a dead-letter topic that is away, and drops nothing (%s)', async (delivery) => {
    let away: MnerError | undefined = new MnerError('topic_missing', 'The topic dead does not exist.');
    const send = (to: { topic: string }) => {
      if (to.topic === 'dead' && away) throw away;
    };
    const world = await setUp({ wire: { send }, delivery, limits: { retryBudgetMs: 5000 } });
    put(world.broker, 0, 'a', 'bad', 'c');
    const lanes = await startLanes(world, async (record) => (String(record.value) === 'bad' ? poison : output(record)));
    await pass(world.clock, 30_000);
    expect(lanes.failures).toEqual([]);
    expect(await committed(world.broker)).not.toBe(3n);
    expect(degraded(lanes.events)).toEqual([true]);
    away = new MnerError('not_authorised', 'No right to write to dead.');
    await pass(world.clock, 10_000);
    expect(lanes.failures).toEqual([]);
    away = undefined;
    await pass(world.clock, 20_000);
    expect(written(world.broker, 'dead')).toEqual(['bad']);
    expect(written(world.broker, 'out')).toEqual(['out 0:0', 'out 0:2']);
    expect(await committed(world.broker)).toBe(3n);
    expect(degraded(lanes.events)).toEqual([true, false]);
    expect(errors(lanes.events)).toHaveLength(1);
  });

  it.each(DELIVERIES)('waits where even the smallest dead letter is refused (%s)', async (delivery) => {
    let limit = 10;
    const send = (to: { topic: string }, records: readonly unknown[]) => {
      if (to.topic === 'dead' && limit < 1000 && records.length > 0)
        throw new MnerError('output_too_large', 'Too large.');
    };
    const world = await setUp({ wire: { send }, delivery, limits: { retryBudgetMs: 5000 } });
    put(world.broker, 0, 'bad');
    const lanes = await startLanes(world, async () => poison);
    await pass(world.clock, 20_000);
    expect([lanes.failures, written(world.broker, 'dead')]).toEqual([[], []]);
    limit = 1000;
    await pass(world.clock, 20_000);
    // At least once tries the smallest again; exactly once begins anew, with the whole.
    expect(written(world.broker, 'dead')).toEqual([delivery === 'exactly_once' ? 'bad' : 'null']);
    expect(await committed(world.broker)).toBe(1n);
  });
});

describe('a record that fails for now', () => {
  const retry = { delayMs: 60_000, attempts: 3 };
  const limits = { retryBudgetMs: 2000 };
  /** Fails for now on everything named `ill`. */
  const ailing =
    (seen: string[] = []): Process =>
    async (record) => {
      if (String(record.value) !== 'ill') return output(record);
      seen.push(record.topic);
      throw new MnerError('picture_unavailable');
    };

  it.each(DELIVERIES)(
    'waits in the retry topic, holds up no other, and is a dead letter in the end (%s)',
    async (delivery) => {
      const world = await setUp({ delivery, retry, limits });
      put(world.broker, 0, 'ill', 'a', 'b');
      const seen: string[] = [];
      const lanes = await startLanes(world, ailing(seen));
      await pass(world.clock, 6000);
      expect(world.broker.read('retry').map(({ headers }) => attemptsOf(headers))).toEqual([['1']]);
      expect(written(world.broker, 'out')).toEqual(['out 0:1', 'out 0:2']);
      const before = seen.length;
      // While it waits, the live stream goes on, and it is not touched.
      put(world.broker, 0, 'c');
      await pass(world.clock, 40_000);
      expect(seen).toHaveLength(before);
      expect(written(world.broker, 'out')).toHaveLength(3);
      await pass(world.clock, 120_000);
      expect(world.broker.read('retry').map(({ headers }) => attemptsOf(headers))).toEqual([['1'], ['2']]);
      expect(seen.filter((topic) => topic === 'retry').length).toBeGreaterThan(1);
      const [dead, none] = world.broker.read('dead');
      expect(none).toBeUndefined();
      const texts = dead?.headers.map(([name, value]) => `${name}=${value}`);
      for (const wanted of [
        'mner-attempts=3',
        'mner-source-topic=in',
        'mner-source-offset=0',
        'mner-error-code=picture_unavailable',
      ])
        expect(texts).toContain(wanted);
      expect([String(dead?.value), lanes.failures]).toEqual(['ill', []]);
      expect((await world.broker.offsets('retry', 'g'))[0]?.committed).toBeGreaterThan(1n);
    },
  );

  it('is a dead letter at once where there is no retry topic', async () => {
    const world = await setUp({ limits });
    put(world.broker, 0, 'ill', 'a');
    await startLanes(world, ailing());
    await pass(world.clock, 6000);
    expect(written(world.broker, 'dead')).toEqual(['ill']);
    expect(written(world.broker, 'out')).toEqual(['out 0:1']);
  });

  it('is left in the retry topic by a drain, for the next worker', async () => {
    const world = await setUp({ retry, limits });
    put(world.broker, 0, 'ill');
    const lanes = await startLanes(world, ailing());
    await pass(world.clock, 6000);
    expect(written(world.broker, 'retry')).toEqual(['ill']);
    await lanes.lanes.drain(1000);
    await lanes.lanes.stop();
    expect((await world.broker.offsets('retry', 'g'))[0]?.committed).toBeNull();
    const next = await startLanes(world, async (record) => output(record, { value: Buffer.from(record.topic) }));
    await pass(world.clock, 70_000);
    expect(written(world.broker, 'out')).toEqual(['retry']);
    expect(next.failures).toEqual([]);
  });
});
