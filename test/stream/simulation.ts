import { type ManualClock, manualClock } from '#mner/clock.js';
import { MnerError } from '#mner/errors.js';
import { createBatcher } from '#mner/inference/batcher.js';
import { atLeastOnce } from '#mner/stream/at-least-once.js';
import type { Delivery } from '#mner/stream/delivery.js';
import { exactlyOnce } from '#mner/stream/exactly-once.js';
import { createLanes, type Lanes } from '#mner/stream/lanes.js';
import { type MemoryBroker, memoryBroker } from '#mner/stream/memory.js';
import type { Process } from '#mner/stream/outcome.js';
import type { Broker, Consumer, ConsumerHandlers } from '#mner/stream/port.js';
import { judge, type Seen } from '../soak/oracle.js';
import { between, randomOf } from '../support/random.js';
import { output, poison } from './records.js';

export type DeliveryMode = 'at_least_once' | 'exactly_once';

/** What a member reaches the world through; a mutant breaks one of them. */
export interface Ports {
  readonly broker: Pick<Broker, 'transactions' | 'producer'>;
  readonly consumer: Consumer;
}

export interface SimulationOptions {
  readonly delivery: DeliveryMode;
  /** Breaks a law on purpose: the simulation must find it. @default nothing is broken */
  readonly mutate?: (ports: Ports, world: { readonly broker: MemoryBroker; readonly random: () => number }) => Ports;
}

export interface Simulated {
  /** What broke a law, in words; empty when all held. */
  readonly problems: readonly string[];
  /** What happened: assignments, revocations, crashes, frozen members, calls that failed, results that came late … */
  readonly happened: Readonly<Record<string, number>>;
}

const PARTITIONS = 3;
const PER_PARTITION = 16;
const ROUNDS = 40;
const GROUP = 'g';
/** Above this an output is refused, and becomes a dead letter. */
const MAX_BYTES = 300;

interface Member {
  readonly lanes: Lanes;
  /** It is no more: of its calls none returns, and none begins. */
  dead: boolean;
  /** Takes it out of the group without telling it, as a coordinator does with one that is silent. */
  expel(): Promise<void>;
  /** Tells it what it missed. */
  wake(): void;
}

/**
 * One interleaving: members come, drain, crash, or freeze and wake up when somebody else has their partitions; every call to the
 * broker may be slow, fail before it takes effect or after; batches may throw, and results come late. Time is virtual, and the seed
 * alone decides what happens when. At the end everything is whole again, and the judge of the soak looks at the log.
 */
export async function simulate(
  seed: number,
  { delivery, mutate = (ports) => ports }: SimulationOptions,
): Promise<Simulated> {
  const random = randomOf(seed);
  const chance = (probability: number) => random() < probability;
  const clock = manualClock();
  const happened: Record<string, number> = {};
  const count = (what: string) => {
    happened[what] = (happened[what] ?? 0) + 1;
  };
  const problems: string[] = [];
  let faults = true;
  /** Whatever waits for its turn: calls on the wire, batches in the model. */
  const waiting = new Set<() => void>();
  const later = () => new Promise<void>((resolve) => waiting.add(resolve));
  const broker = memoryBroker({ clock, maxMessageBytes: MAX_BYTES });
  await broker.createTopics(['in', 'out', 'dead'].map((topic) => ({ topic, partitions: PARTITIONS })));
  for (let partition = 0; partition < PARTITIONS; partition += 1)
    for (let i = 0; i < PER_PARTITION; i += 1)
      broker.append('in', { partition, value: Buffer.from(`${partition}/${i}`) });

  /** The way of one call of a member there, and back. */
  const hop = async (member: { readonly dead: boolean }): Promise<void> => {
    if (faults && chance(0.3)) await later();
    if (member.dead) return new Promise(() => {});
    if (!faults || !chance(0.04)) return;
    count('calls failed');
    throw new MnerError('broker_unavailable');
  };
  const over = async <T>(member: { readonly dead: boolean }, call: () => Promise<T>): Promise<T> => {
    await hop(member);
    const result = await call();
    await hop(member);
    return result;
  };

  const members: Member[] = [];
  const join = async (): Promise<void> => {
    count('joined');
    const self = { dead: false };
    const inner = broker.consumer({ topics: ['in'], group: GROUP });
    let handlers: ConsumerHandlers | undefined;
    let deaf = false;
    const hear = (what: string, tell: () => void) => {
      if (deaf || self.dead) return;
      count(what);
      tell();
    };
    const consumer: Consumer = {
      ...inner,
      start(given) {
        handlers = given;
        return inner.start({
          assigned: (partitions) => hear('assigned', () => given.assigned(partitions)),
          revoked: () => hear('revoked', () => given.revoked()),
          records: async (records, end) => (deaf || self.dead ? undefined : given.records(records, end)),
          failed: given.failed,
        });
      },
      commit: (offsets) =>
        over(self, async () => {
          await inner.commit(offsets);
          await requireProcessed(broker, problems);
        }),
      rewind: (partition) => over(self, () => inner.rewind(partition)),
    };
    const ports = mutate({ consumer, broker: networked(broker, (call) => over(self, call)) }, { broker, random });
    const member: Member = {
      lanes: createLanes({
        consumer: ports.consumer,
        process: processWith({ clock, chance, later, count, faulty: () => faults }),
        delivery: await deliveryOf(delivery, ports, clock),
        failed: (error) => problems.push(`failed: ${error.message}`),
        limits: { laneRecords: () => 4, commitEveryRecords: 5, commitEveryMs: 100, publishRecords: 3 },
        clock,
        emit(event) {
          if (event.type === 'note' && event.message.includes('left to the next worker')) count('drains let go');
        },
      }),
      get dead() {
        return self.dead;
      },
      set dead(value) {
        self.dead = value;
      },
      async expel() {
        deaf = true;
        await inner.stop();
      },
      wake() {
        handlers?.revoked();
      },
    };
    members.push(member);
    // A member that is expelled while it joins never learns its partitions.
    void member.lanes.start();
    await turns(2);
  };

  const leave = (): void => {
    const [gone] = members.splice(Math.floor(random() * members.length), 1);
    if (!gone) return;
    const how = random();
    void (async () => {
      if (how < 0.3) {
        count('crashed');
        gone.dead = true;
        return gone.expel();
      }
      if (how < 0.6) {
        count('frozen');
        await gone.expel();
        for (let turns = between(random, 1, 15); turns > 0; turns -= 1) await later();
        gone.wake();
      } else if (how < 0.8) {
        count('drained');
        await gone.lanes.drain(between(random, 50, 500)).catch(() => {});
      } else count('stopped');
      await gone.lanes.stop();
    })();
  };

  const turns = async (number: number): Promise<void> => {
    for (let i = 0; i < number; i += 1) await new Promise((resolve) => setImmediate(resolve));
  };
  let rounds = 0;
  const round = async (): Promise<void> => {
    for (const resolve of [...waiting])
      if (!faults || chance(0.4)) {
        waiting.delete(resolve);
        resolve();
      }
    clock.advance(40);
    await turns(2);
    rounds += 1;
    if (rounds % 5 === 0) await requireProcessed(broker, problems);
  };
  const committed = async () =>
    (await broker.offsets('in', GROUP)).every((one) => one.committed === BigInt(PER_PARTITION));

  await join();
  for (let i = 0; i < ROUNDS; i += 1) {
    if (members.length === 0 || (chance(0.15) && members.length < 3)) await join();
    else if (chance(0.12)) leave();
    await round();
  }
  faults = false;
  if (members.length === 0) await join();
  for (let i = 0; i < 500 && !(await committed()); i += 1) await round();
  // Whoever was still on his way arrives: nothing may change any more.
  for (let i = 0; i < 5; i += 1) await round();

  if (!(await committed())) problems.push('the backlog does not come through');
  problems.push(...verdict(broker, delivery));
  await Promise.all(members.map(({ lanes }) => lanes.stop()));
  await broker.close();
  return { problems, happened };
}

async function deliveryOf(mode: DeliveryMode, { broker, consumer }: Ports, clock: ManualClock): Promise<Delivery> {
  const shared = { topics: { output: 'out', deadLetters: 'dead' }, partitionsOf: () => PARTITIONS, clock };
  if (mode === 'at_least_once') return atLeastOnce({ ...shared, producer: await broker.producer() });
  return exactlyOnce({ ...shared, broker, consumer, group: GROUP, timeoutMs: 1000 });
}

/** The same broker, a network away. */
function networked(broker: MemoryBroker, over: <T>(call: () => Promise<T>) => Promise<T>): Ports['broker'] {
  return {
    async producer() {
      const inner = await broker.producer();
      return { send: (to, records) => over(() => inner.send(to, records)), stop: () => inner.stop() };
    },
    async transactions(options) {
      const inner = await over(() => broker.transactions(options));
      return {
        begin: () => over(() => inner.begin()),
        send: (to, records) => over(() => inner.send(to, records)),
        sendOffsets: (group, offsets) => over(() => inner.sendOffsets(group, offsets)),
        commit: () => over(() => inner.commit()),
        abort: () => over(() => inner.abort()),
        stop: () => inner.stop(),
      };
    },
  };
}

/** The way from bytes to an outcome, with a real batcher before a model that is slow, and throws at poison. */
function processWith(world: {
  readonly clock: ManualClock;
  readonly chance: (probability: number) => boolean;
  readonly later: () => Promise<void>;
  readonly count: (what: string) => void;
  readonly faulty: () => boolean;
}): Process {
  const { clock, chance, later, count, faulty } = world;
  const batcher = createBatcher<bigint, bigint>({
    clock,
    tokenBudget: 24,
    async run(offsets) {
      count('batches');
      while (faulty() && chance(0.5)) await later();
      if (offsets.some(throws)) throw new MnerError('inference_poison');
      return offsets;
    },
  });
  return async (record, signal) => {
    const { offset } = record;
    // Parsing finds this one.
    if (offset % 10n === 3n) return poison;
    try {
      await batcher.submit(offset, 3 + Number(offset % 5n), 'live', signal);
    } catch (error) {
      if (signal.aborted) count('rows left unread');
      if (!(error instanceof MnerError) || error.class !== 'poison') throw error;
      return { kind: 'dead_letter', error };
    }
    if (signal.aborted) count('results came late');
    return output(record, { value: Buffer.alloc(tooLarge(offset) ? MAX_BYTES + 1 : 8), headers: sourceOf(record) });
  };
}

const throws = (offset: bigint) => offset % 10n === 5n;
const tooLarge = (offset: bigint) => offset % 10n === 7n;

function sourceOf({ partition, offset }: { partition: number; offset: bigint }) {
  return [['source', Buffer.from(`${partition}/${offset}`)] as const];
}

/** No offset may be committed before its record has an outcome that readers see. */
async function requireProcessed(broker: MemoryBroker, problems: string[]): Promise<void> {
  const offsets = await broker.offsets('in', GROUP);
  const done = new Set(outcomesOf(broker).map(({ id }) => id));
  for (const { partition, committed } of offsets)
    for (let offset = 0n; offset < (committed ?? 0n); offset += 1n)
      if (!done.has(`${partition}/${offset}`)) problems.push(`${partition}/${offset} is committed without an outcome`);
}

function outcomesOf(broker: MemoryBroker): Seen[] {
  return ['out', 'dead'].flatMap((topic) =>
    broker.read(topic).map((record): Seen => {
      const { partition, offset, headers, value } = record;
      const header = (name: string) => headers.findLast(([other]) => other === name)?.[1].toString() ?? '';
      const id =
        topic === 'dead' ? `${header('mner-source-partition')}/${header('mner-source-offset')}` : header('source');
      const [from = '', at = ''] = id.split('/');
      const source = { partition: Number(from), offset: BigInt(at) };
      const digest = topic === 'dead' ? String(value) : null;
      return {
        topic,
        partition,
        offset,
        id,
        digest,
        source,
        outcome: topic === 'dead' ? header('mner-error-code') : 'output',
      };
    }),
  );
}

function verdict(broker: MemoryBroker, delivery: DeliveryMode): string[] {
  const inputs = broker.read('in').map(({ topic, partition, offset, value }): Seen => {
    const id = `${partition}/${offset}`;
    return { topic, partition, offset, id, digest: String(value), source: null, outcome: null };
  });
  const deserved = (id: string) => {
    const offset = BigInt(id.split('/')[1] ?? -1);
    if (offset % 10n === 3n) return 'bad_json';
    if (throws(offset)) return 'inference_poison';
    return tooLarge(offset) ? 'output_too_large' : 'output';
  };
  const { lost, repeated, wrong, disordered } = judge(inputs, outcomesOf(broker), deserved);
  return [
    ...lost.map((one) => `lost: ${one}`),
    ...(delivery === 'exactly_once' ? repeated.map((one) => `doubled: ${one}`) : []),
    ...wrong,
    ...disordered.map((one) => `out of order: ${one}`),
  ];
}
