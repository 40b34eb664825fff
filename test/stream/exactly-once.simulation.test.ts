import { expect, it } from 'vitest';
import { manualClock } from '#mner/clock.js';
import { MnerError } from '#mner/errors.js';
import { exactlyOnce } from '#mner/stream/exactly-once.js';
import { createLanes, type Lanes } from '#mner/stream/lanes.js';
import { memoryBroker } from '#mner/stream/memory.js';
import { randomOf } from '../support/random.js';
import { output, poison } from './records.js';

const RUNS = Number(process.env.MNER_TEST_SIMULATIONS ?? 200);
const FIRST_SEED = Number(process.env.MNER_TEST_SEED ?? 1);
const PARTITIONS = 4;
const PER_PARTITION = 40;

/**
 * Members come, go by drain or at once, freeze in the middle of a call and wake up much later; any call may fail before or after it
 * took effect, or be slow. To a reader every record has one outcome, in order.
 */
async function simulate(seed: number): Promise<string[]> {
  const random = randomOf(seed);
  const chance = (probability: number) => random() < probability;
  const clock = manualClock();
  let faults = true;
  /** Calls that are under way and slow, some of them very. */
  const waiting = new Set<() => void>();
  const wire = async () => {
    if (!faults) return;
    if (chance(0.3)) await new Promise<void>((resolve) => waiting.add(resolve));
    if (faults && chance(0.06)) throw new MnerError('broker_unavailable');
  };
  const steps = { open: wire, begin: wire, offsets: wire, commit: wire, ended: wire };
  const broker = memoryBroker({ clock, wire: { send: wire, rewind: wire, transaction: steps }, maxMessageBytes: 300 });
  await broker.createTopics([
    { topic: 'in', partitions: PARTITIONS },
    { topic: 'out', partitions: PARTITIONS },
    { topic: 'dead', partitions: PARTITIONS },
  ]);
  for (let partition = 0; partition < PARTITIONS; partition += 1)
    for (let i = 0; i < PER_PARTITION; i += 1)
      broker.append('in', { partition, value: Buffer.from(`${partition}:${i}`) });

  const problems: string[] = [];
  const members: Lanes[] = [];
  const join = async (): Promise<void> => {
    const consumer = broker.consumer({ topics: ['in'], group: 'g' });
    const lanes = createLanes({
      consumer,
      process: async (record) => {
        while (chance(0.5)) await new Promise((resolve) => setImmediate(resolve));
        if (record.offset % 10n === 3n) return poison;
        if (record.offset % 10n === 7n) return output(record, { value: Buffer.alloc(400) });
        return output(record, { value: record.value });
      },
      delivery: exactlyOnce({
        ...{ broker, consumer, group: 'g', timeoutMs: 1000, clock },
        topics: { output: 'out', deadLetters: 'dead' },
        partitionsOf: () => PARTITIONS,
      }),
      failed: (error) => problems.push(`failed: ${error.message}`),
      limits: { laneRecords: () => 6, commitEveryRecords: 5, commitEveryMs: 100 },
      clock,
    });
    members.push(lanes);
    await lanes.start();
  };
  const leave = (drained: boolean): void => {
    const [gone] = members.splice(Math.floor(random() * members.length), 1);
    void (async () => {
      if (drained) await gone?.drain(1000).catch(() => {});
      await gone?.stop();
    })();
  };
  /** Records that readers see, by partition and offset of their input. */
  const outcomes = () => {
    const found: string[][] = [];
    for (let partition = 0; partition < PARTITIONS; partition += 1) {
      const own = broker.read('out', partition).map(({ value }) => String(value));
      found.push(
        own,
        broker.read('dead', partition).map(({ value }) => String(value)),
      );
    }
    return found;
  };
  const turn = async (): Promise<void> => {
    for (const resolve of [...waiting])
      if (!faults || chance(0.4)) {
        waiting.delete(resolve);
        resolve();
      }
    clock.advance(50);
    for (let i = 0; i < 3; i += 1) await new Promise((resolve) => setImmediate(resolve));
  };

  await join();
  for (let round = 0; round < 80; round += 1) {
    if (chance(0.12) && members.length < 3) await join();
    else if (chance(0.1) && members.length > 1) leave(chance(0.5));
    await turn();
  }
  faults = false;
  const count = () => outcomes().reduce((sum, of) => sum + of.length, 0);
  for (let round = 0; round < 3000 && count() < PARTITIONS * PER_PARTITION; round += 1) await turn();
  for (let round = 0; round < 5; round += 1) await turn();

  const all = outcomes();
  const ids = all.flat();
  if (ids.length !== PARTITIONS * PER_PARTITION) problems.push(`${ids.length} outcomes`);
  if (new Set(ids).size !== ids.length) problems.push('an outcome is doubled');
  for (const own of all) {
    const offsets = own.map((id) => Number(id.split(':')[1]));
    if (offsets.some((offset, i) => offset <= (offsets[i - 1] ?? -1))) problems.push(`out of order: ${own.join(' ')}`);
  }
  for (const { partition, committed } of await broker.offsets('in', 'g'))
    if (committed !== BigInt(PER_PARTITION)) problems.push(`partition ${partition} is committed up to ${committed}`);
  await Promise.all(members.map((lanes) => lanes.stop()));
  await broker.close();
  return problems;
}

it(`every record has one outcome, in order, whatever breaks: ${RUNS} simulations`, async () => {
  const broken: string[] = [];
  for (let seed = FIRST_SEED; seed < FIRST_SEED + RUNS; seed += 1)
    for (const problem of await simulate(seed)) broken.push(`seed ${seed}: ${problem}`);
  expect(broken).toEqual([]);
});
