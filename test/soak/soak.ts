import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '#mner/clock.js';
import type { Broker, Producer } from '#mner/stream/port.js';
import { persist } from '#mner/stream/retry.js';
import { text } from '../stream/names.js';
import { TINY } from '../support/servers.js';
import { type Arena, DEAD_PARTITIONS, openArena } from './arena.js';
import { createFleet } from './fleet.js';
import { startHands } from './hands.js';
import type { Sample } from './memory.js';
import { judge, type Verdict } from './oracle.js';
import { VICTIMS } from './plan.js';
import { markEnds, placesOf, readAll, readByKcat } from './readers.js';
import { type Deserved, ID_HEADER, PARTITIONS, trafficOf } from './traffic.js';

export interface SoakOptions {
  readonly minutes: number;
  readonly seed: number;
  readonly delivery: 'at_least_once' | 'exactly_once';
  /** Records a second. */
  readonly rate: number;
  /** A committed bundle, or `tiny`. */
  readonly bundle: string;
  /** Where the workers' logs go. */
  readonly logs: string;
  readonly say: (line: string) => void;
}

export interface Soaked {
  readonly inputs: number;
  readonly faults: number;
  readonly verdict: Verdict;
  /** Places that one reader saw, and the other did not. */
  readonly disagreements: readonly string[];
  /** What had not come through in time once the faults had stopped. */
  readonly stuck: readonly string[];
  readonly complaints: readonly string[];
  /** Of the worker that is never hurt itself. */
  readonly memory: readonly Sample[];
}

const TICK_MS = 500;
const PROGRESS_MS = 30_000;
const SAMPLE_MS = 10_000;
/** How long nothing may move once everything is whole; the session's time-out and a busy machine have room in it. */
const PATIENCE_MS = 60_000;
/** The workers' group. */
const GROUP = 'soak';

/** Feeds, hurts and judges a fleet of real workers. */
export async function soak(options: SoakOptions): Promise<Soaked> {
  const { minutes, seed, delivery, rate, logs } = options;
  const began = performance.now();
  const say = (line: string) => options.say(`${clockTime(performance.now() - began)} ${line}`);
  say(`seed ${seed}, ${minutes} minutes, ${delivery}, ${rate} records a second, bundle ${options.bundle}`);
  const arena = await openArena();
  const { broker } = arena.cluster;
  const fleet = createFleet(environment(arena, options), logs);
  try {
    const witness = fleet.seat('witness');
    const victims = Array.from({ length: VICTIMS }, (_, i) => fleet.seat(`worker-${i}`));
    await Promise.all([witness, ...victims].map((seat) => seat.fill()));
    say('the workers are ready');
    const feeder = startFeeding(await broker.producer(), arena, seed, rate);
    const hands = startHands({ arena, victims, guest: fleet.seat('guest'), seed, say });
    const memory: Sample[] = [];
    const started = performance.now();
    const sampling = setInterval(() => {
      if (witness.worker)
        memory.push({ minutes: (performance.now() - started) / 60_000, mb: witness.worker.residentMb() });
    }, SAMPLE_MS);
    const telling = setInterval(async () => {
      const committed = await progress(broker, arena).catch(() => null);
      const faults = total(hands.struck);
      const mb = memory.at(-1)?.mb.toFixed(0) ?? '?';
      say(`${feeder.sent} in, ${committed ?? '?'} committed, ${faults} faults, witness ${mb} MB`);
    }, PROGRESS_MS);
    await sleep(minutes * 60_000);
    await hands.stop();
    clearInterval(sampling);
    clearInterval(telling);
    await feeder.stop();
    say(`faults and feeding stopped after ${feeder.sent} records`);
    const stuck = await settle(broker, arena, feeder, say);
    await fleet.stop();
    say('reading everything back');
    const judged = await readBack(arena, feeder);
    const kinds = [...hands.struck].sort().map(([kind, times]) => `${kind} ${times}`);
    say(`${total(hands.struck)} faults: ${kinds.join(', ')}; ${hands.lostCommits} answers to a commit lost`);
    say(
      `workers: ${[witness, ...victims].map(({ name, lives }) => `${name} ${lives} lives`).join(', ')}; ${fleet.retries} starts tried again, ${fleet.lateDrains} drains past their deadline`,
    );
    tellVerdict(judged.inputs, judged.verdict, delivery, say);
    return { ...judged, faults: total(hands.struck), stuck, complaints: fleet.complaints, memory };
  } finally {
    await fleet.stop().catch(() => {});
    await arena.stop();
  }
}

function environment(arena: Arena, { delivery, bundle }: SoakOptions): Record<string, string> {
  return {
    ...(bundle === 'tiny' ? TINY : { MNER_BUNDLE: bundle, MNER_THREADS: '1' }),
    MNER_BROKERS: arena.cluster.faulty.join(','),
    MNER_REDIS_URL: arena.redis.url,
    MNER_GROUP: GROUP,
    MNER_INPUT_TOPIC: arena.topics.input,
    MNER_OUTPUT_TOPIC: arena.topics.output,
    MNER_DEAD_LETTER_TOPIC: arena.topics.dead,
    MNER_DELIVERY: delivery,
    MNER_SESSION_TIMEOUT_MS: '10000',
    MNER_TRANSACTION_TIMEOUT_MS: '8000',
    MNER_DRAIN_TIMEOUT_MS: '9000',
    // Full within the first minutes: of caches that still fill, memory grows for hours.
    MNER_CACHE_MEMORY_BYTES: String(1024 * 1024),
    MNER_REPEAT_CACHE_BYTES: String(512 * 1024),
    MNER_IMAGE_ALLOW: arena.origin.address,
    MNER_IMAGE_BUDGET_MS: '3000',
    MNER_IMAGE_FETCH_TIMEOUT_MS: '1500',
    MNER_IMAGE_HOST_RETRY_MS: '2000',
  };
}

interface Feeder {
  readonly sent: number;
  deserved(id: string): Deserved | undefined;
  /** One record for each partition, of the kind that always comes out; resolves when the broker has them. */
  canary(): Promise<void>;
  stop(): Promise<void>;
}

/** Sends at a steady rate. What the brokers do not take now is sent until they do, so that everything that was sent is there. */
function startFeeding(producer: Producer, arena: Arena, seed: number, rate: number): Feeder {
  const due = new Map<string, Deserved>();
  const over = new AbortController();
  const never = new AbortController().signal;
  let sent = 0;
  const send = (partition: number, records: Parameters<Producer['send']>[1]) =>
    persist(() => producer.send({ topic: arena.topics.input, partition }, records), {
      clock: systemClock,
      signal: never,
    });
  const feeding = (async () => {
    const began = performance.now();
    while (!over.signal.aborted) {
      const until = Math.floor(((performance.now() - began) / 1000) * rate);
      const byPartition = new Map<number, Parameters<Producer['send']>[1][number][]>();
      for (const end = Math.min(until, sent + rate * 2); sent < end; sent += 1) {
        const { id, partition, deserves, record } = trafficOf(seed, sent, arena.origin.pictures);
        due.set(id, deserves);
        byPartition.set(partition, [...(byPartition.get(partition) ?? []), record]);
      }
      await Promise.all([...byPartition].map(([partition, records]) => send(partition, records)));
      await sleep(TICK_MS);
    }
  })();
  return {
    get sent() {
      return sent;
    },
    deserved: (id) => due.get(id),
    async canary() {
      for (let partition = 0; partition < PARTITIONS; partition += 1) {
        const id = `canary-${partition}`;
        due.set(id, 'output');
        const body = JSON.stringify({ id, text: 'Kobe Bryant in Los Angeles' });
        await send(partition, [text(body, [[ID_HEADER, Buffer.from(id)]])]);
      }
    },
    async stop() {
      over.abort();
      await feeding;
    },
  };
}

async function progress(broker: Broker, { topics }: Arena): Promise<number> {
  return committedOf(await broker.offsets(topics.input, GROUP));
}

function committedOf(offsets: Awaited<ReturnType<Broker['offsets']>>): number {
  return offsets.reduce((sum, { committed }) => sum + Number(committed ?? 0n), 0);
}

/** Waits until everything is committed, then the same for a canary. What stood still. */
async function settle(broker: Broker, arena: Arena, feeder: Feeder, say: (line: string) => void): Promise<string[]> {
  for (const what of ['the backlog', 'the canary']) {
    const began = performance.now();
    if (what === 'the canary') await feeder.canary();
    let [last, movedAt] = [-1, began];
    for (;;) {
      const offsets = await broker.offsets(arena.topics.input, GROUP).catch(() => []);
      const behind = offsets.filter(({ end, committed }) => (committed ?? 0n) < end);
      if (offsets.length > 0 && behind.length === 0) break;
      const done = committedOf(offsets);
      if (done > last) [last, movedAt] = [done, performance.now()];
      if (performance.now() - movedAt > PATIENCE_MS)
        return behind.map(
          ({ partition, end, committed }) => `${what}: partition ${partition} stands at ${committed} of ${end}`,
        );
      await sleep(200);
    }
    say(`${what} is through after ${((performance.now() - began) / 1000).toFixed(1)} s`);
  }
  return [];
}

async function readBack({ cluster: { direct }, topics }: Arena, { deserved }: Feeder) {
  const { input, output, dead } = topics;
  const partitions = { [input]: PARTITIONS, [output]: PARTITIONS, [dead]: DEAD_PARTITIONS };
  await markEnds(direct, partitions);
  const seen = await readAll(direct, partitions);
  const inputs = seen.filter(({ topic }) => topic === input);
  const outcomes = seen.filter(({ topic }) => topic !== input);
  const [ours, others] = [placesOf(seen, Object.values(topics)), await readByKcat(direct, Object.values(topics))];
  const [known, found] = [new Set(ours), new Set(others)];
  const disagreements = [
    ...ours.filter((place) => !found.has(place)).map((place) => `kcat does not see ${place}`),
    ...others.filter((place) => !known.has(place)).map((place) => `only kcat sees ${place}`),
  ];
  return { inputs: inputs.length, verdict: judge(inputs, outcomes, deserved), disagreements };
}

function tellVerdict(inputs: number, verdict: Verdict, delivery: string, say: (line: string) => void): void {
  const { lost, repeated, wrong, disordered } = verdict;
  const again = delivery === 'exactly_once' ? `${repeated.length} doubled` : `${repeated.length} repeated`;
  say(`${inputs} inputs: ${lost.length} lost, ${again}, ${wrong.length} wrong, ${disordered.length} out of order`);
}

function total(struck: ReadonlyMap<unknown, number>): number {
  return [...struck.values()].reduce((sum, times) => sum + times, 0);
}

function clockTime(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  return `${String(Math.floor(seconds / 60)).padStart(2, '0')}:${String(seconds % 60).padStart(2, '0')}`;
}
