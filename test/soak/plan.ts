import { between, pick, randomOf } from '../support/random.js';

/** What the soak does to the world. Each fault has an end: whatever it broke is whole again before the next of its hand. */
export type Fault =
  | { readonly kind: 'kill_worker' | 'drain_worker'; readonly worker: number; readonly downMs: number }
  /** SIGSTOP, and SIGCONT after less or more than the session's time-out. */
  | { readonly kind: 'freeze_worker'; readonly worker: number; readonly forMs: number }
  /** One more worker joins the group, and leaves it again. */
  | { readonly kind: 'guest_worker'; readonly forMs: number }
  | { readonly kind: 'kill_inference'; readonly worker: number }
  | { readonly kind: 'kill_broker' | 'restart_broker'; readonly broker: number; readonly downMs: number }
  | { readonly kind: 'cut_connections'; readonly times: number }
  | { readonly kind: 'slow_connections'; readonly latencyMs: number; readonly forMs: number }
  /** What either side sends to a broker's port arrives nowhere, and nobody is told. */
  | { readonly kind: 'half_open'; readonly broker: number; readonly forMs: number }
  /** The coordinator ends transactions, and its answers are lost with their connections. */
  | { readonly kind: 'lose_commits'; readonly forMs: number }
  | { readonly kind: 'kill_redis' | 'hang_redis'; readonly forMs: number }
  | { readonly kind: 'flush_redis' }
  | { readonly kind: 'origin'; readonly how: 'error' | 'silent' | 'closed'; readonly forMs: number };

export type FaultKind = Fault['kind'];

/** A fault, and how long its hand rests before it. */
export interface Planned {
  readonly quietMs: number;
  readonly fault: Fault;
}

/** Two hands work at once, each on its own: one on the workers, one on all that they rely on. */
export type Hand = 'workers' | 'world';

/** Workers that may be hurt; the witness of the memory is not among them. */
export const VICTIMS = 2;
export const BROKERS = 3;

type Random = () => number;
type Draw = readonly [weight: number, draw: (random: Random) => Fault];

const worker = (random: Random) => between(random, 0, VICTIMS - 1);
const broker = (random: Random) => between(random, 0, BROKERS - 1);

const DRAWS: Readonly<Record<Hand, readonly Draw[]>> = {
  workers: [
    [4, (r) => ({ kind: 'kill_worker', worker: worker(r), downMs: between(r, 0, 15_000) })],
    [2, (r) => ({ kind: 'drain_worker', worker: worker(r), downMs: between(r, 0, 5000) })],
    [3, (r) => ({ kind: 'freeze_worker', worker: worker(r), forMs: between(r, 1000, 25_000) })],
    [2, (r) => ({ kind: 'guest_worker', forMs: between(r, 2000, 15_000) })],
    [2, (r) => ({ kind: 'kill_inference', worker: worker(r) })],
  ],
  world: [
    [3, (r) => ({ kind: 'kill_broker', broker: broker(r), downMs: between(r, 0, 10_000) })],
    [1, (r) => ({ kind: 'restart_broker', broker: broker(r), downMs: between(r, 0, 5000) })],
    [2, (r) => ({ kind: 'cut_connections', times: between(r, 1, 8) })],
    [2, (r) => ({ kind: 'slow_connections', latencyMs: between(r, 20, 300), forMs: between(r, 3000, 12_000) })],
    [2, (r) => ({ kind: 'half_open', broker: broker(r), forMs: between(r, 2000, 20_000) })],
    [3, (r) => ({ kind: 'lose_commits', forMs: between(r, 500, 4000) })],
    [1, (r) => ({ kind: 'kill_redis', forMs: between(r, 0, 8000) })],
    [1, (r) => ({ kind: 'hang_redis', forMs: between(r, 500, 8000) })],
    [1, () => ({ kind: 'flush_redis' })],
    [
      2,
      (r) => ({
        kind: 'origin',
        how: pick(r, ['error', 'silent', 'closed'] as const),
        forMs: between(r, 2000, 10_000),
      }),
    ],
  ],
};

/** All faults that there are, for the count at the end. */
export const FAULT_KINDS: readonly FaultKind[] = [
  ...(['kill_worker', 'drain_worker', 'freeze_worker', 'guest_worker', 'kill_inference'] as const),
  ...(['kill_broker', 'restart_broker', 'cut_connections', 'slow_connections', 'half_open', 'lose_commits'] as const),
  ...(['kill_redis', 'hang_redis', 'flush_redis', 'origin'] as const),
];

/** What a hand does, without an end: nothing but the seed decides it, so the same seed plans the same again. */
export function* planOf(seed: number, hand: Hand): Generator<Planned, never> {
  const random = randomOf(hand === 'workers' ? seed : ~seed);
  const draws = DRAWS[hand].flatMap(([weight, draw]) => Array.from({ length: weight }, () => draw));
  for (;;) {
    const quietMs = between(random, 1000, 9000);
    yield { quietMs, fault: pick(random, draws)(random) };
  }
}

/** A fault in words, for the log. */
export function inWords({ kind, ...details }: Fault): string {
  const words = Object.entries(details).map(([name, value]) => `${name} ${value}`);
  return [kind.replace('_', ' '), ...words].join(', ');
}
