import { type Clock, systemClock } from '../clock.js';

/** How fast a model is in batches of one size, in all processes together. */
export interface Speed {
  /** Most tokens of a batch. */
  readonly budget: number;
  /** The best of its runs. */
  readonly tokensPerSecond: number;
}

/** Tokens of each row of a trial: those of an ordinary tweet. */
export const TRIAL_PIECES = 32;

/** On a CPU more than a thousand tokens gain nothing, and 2048 made a worker slower (0.80 of the ceiling against 0.94); an accelerator wants more. */
export const BUDGETS = { cpu: [256, 512, 1024], accelerator: [1024, 4096, 16_384] } as const;

/**
 * Tries token budgets in turn, in rounds, until the time is up. A budget whose run would not end in time by what is known of
 * the smaller ones is left out, so a slow machine is not kept waiting.
 *
 * @param run runs so many rows of {@link TRIAL_PIECES} tokens as one batch in each process
 * @param budgets in rising order; the first is always tried
 * @param limitMs time for all, in ms; the first run, which warms up, may go beyond
 * @param processes how many batches a run is
 */
export async function measureSpeeds(
  run: (rows: number) => Promise<void>,
  budgets: readonly number[],
  limitMs: number,
  processes = 1,
  clock: Clock = systemClock,
): Promise<Speed[]> {
  const start = clock.now();
  const best = new Map<number, number>();
  const time = async (budget: number) => {
    const rows = Math.max(1, Math.floor(budget / TRIAL_PIECES));
    const began = clock.now();
    await run(rows);
    const ms = Math.max(1e-3, clock.now() - began);
    return (1000 * processes * rows * TRIAL_PIECES) / ms;
  };
  const fastest = () => Math.max(...best.values());
  // Not counted: the first run of a session allocates.
  await time(budgets[0] as number);
  for (;;) {
    for (const budget of budgets) {
      const left = start + limitMs - clock.now();
      if (best.size > 0 && (1000 * processes * budget) / fastest() > left) return asSpeeds(best);
      best.set(budget, Math.max(best.get(budget) ?? 0, await time(budget)));
    }
  }
}

/**
 * What a batch costs beside its run, in ms, however many tweets it holds: the messages to an inference process and back, and a request
 * to Kafka. Told by `mner bench --only e2e_text_over_ceiling`, where a worker with two processes did 476, 527 and 518 tweets a second in batches of
 * 256, 512 and 1024 tokens.
 */
export const BESIDE_MS = 5;

/**
 * The budget to batch with: the smallest that is nearly as fast as the best, what a batch costs beside its run counted in, since a
 * smaller batch keeps tweets waiting less, and since differences below the share are noise.
 *
 * @param processes that were measured side by side @default 1
 * @param share @default 0.05
 */
export function chooseSpeed(speeds: readonly Speed[], processes = 1, share = 0.05): Speed {
  const allInAll = ({ budget, tokensPerSecond }: Speed) =>
    budget / ((processes * budget) / tokensPerSecond + BESIDE_MS / 1000);
  const most = Math.max(...speeds.map(allInAll));
  return speeds.find((speed) => allInAll(speed) >= most * (1 - share)) as Speed;
}

function asSpeeds(best: ReadonlyMap<number, number>): Speed[] {
  return [...best]
    .map(([budget, tokensPerSecond]) => ({ budget, tokensPerSecond }))
    .sort((a, b) => a.budget - b.budget);
}
