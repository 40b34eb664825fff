import { delay, systemClock } from '../../clock.js';
import { say } from '../print.js';
import { startBare } from './bare.js';
import { sortedBatches } from './batches.js';
import { sendSet } from './burst.js';
import { openChannel, PARTITIONS } from './channel.js';
import { median, percentile } from './figure.js';
import { brief, type Lab, threadsOfOne } from './lab.js';
import { type Program, startProgram } from './program.js';
import { TEXT_ONLY, textValues } from './values.js';
import type { Watched } from './watched.js';

/** Of what the worker can do. */
const LOAD = 0.7;
/** At this load ahead of the windows, in seconds: it follows a burst, of which the machine has yet to recover. */
const WARM_UP_SECONDS = 3;
/** Windows of this load are longer than others: of a few hundred tweets the slowest hundredth is a handful. */
const LONGER = 2;
const SEED = 20_241_124;
/** As long Kafka's own producer waits for company since 4.0 (`linger.ms`): a request for each tweet would cost as much as the model. */
const LINGER_MS = 5;

/** A worker at 70 % of what it can do; a value for each window. */
export interface OpenLoop {
  readonly queueWaitP99Ms: readonly number[];
  readonly endToEndP99Ms: readonly number[];
  /** A full batch called bare with the threads of one of the worker's processes and its token budget. */
  readonly batchMs: number;
}

/**
 * Open loop: tweets arrive at random (a Poisson process), each at a moment that was set beforehand, whether or not the ones before it
 * are done. A latency counts from that moment, also where the bench itself was late to send.
 */
export function openLoop(lab: Lab): Promise<OpenLoop> {
  return lab.shared('open loop', () => measure(brief(lab)));
}

async function measure(lab: Lab): Promise<OpenLoop> {
  const batchMs = await fullBatch(lab);
  const due = new Map<string, number>();
  const latencies: number[] = [];
  const channel = await openChannel(lab, ({ key }) => {
    const from = due.get(String(key));
    if (from !== undefined) latencies.push(systemClock.now() - from);
  });
  let program: Program | undefined;
  try {
    program = await startProgram('watched-program', lab, { ...TEXT_ONLY, ...channel.overrides });
    const values = textValues(lab);
    let sent = 0;
    const send = (at: number) => {
      const value = values[sent % values.length] as Buffer;
      const key = `${sent}`;
      due.set(key, at);
      return channel.send(sent++ % PARTITIONS, [{ key: Buffer.from(key), value, headers: [] }]);
    };
    const settled = () => Promise.race([channel.reach(sent), (program as Program).failed]);
    /** As the worker's side of a ratio is fed; gives tweets per second. */
    const burst = async (passes: number) => {
      const start = systemClock.now();
      for (let pass = 0; pass < passes; pass++) await sendSet(channel, values, pass);
      sent += passes * values.length;
      await settled();
      return (passes * values.length * 1000) / (systemClock.now() - start);
    };
    // Warm-up, then a window: in a shorter burst the beginning and the end, where batches are small, hide what it can do.
    await burst(1);
    const capacity = await burst(Math.max(1, Math.round((lab.seconds * (await burst(1))) / values.length)));
    const perSecond = LOAD * capacity;
    const seconds = LONGER * lab.seconds;
    say(
      `  the worker does ${capacity.toFixed(0)} tweets/s; ${perSecond.toFixed(0)} arrive, at random, for ${seconds} s`,
    );
    const random = seededRandom(SEED);
    /** Resolves when all that arrived has its output. */
    const arrivals = async (ofSeconds: number) => {
      const sends: Promise<unknown>[] = [];
      let failure: unknown = null;
      const start = systemClock.now();
      for (let at = start; ; ) {
        at += (-Math.log(1 - random()) * 1000) / perSecond;
        if (at > start + ofSeconds * 1000) break;
        const wait = start + Math.ceil((at - start) / LINGER_MS) * LINGER_MS - systemClock.now();
        if (wait > 0) await delay(systemClock, wait);
        // Not waited for: what comes next is due whether or not this one has arrived.
        sends.push(
          send(at).catch((error: unknown) => {
            failure ??= error;
          }),
        );
      }
      await Promise.all(sends);
      if (failure) throw failure;
      await settled();
    };
    await arrivals(WARM_UP_SECONDS);
    const waits: number[] = [];
    const ends: number[] = [];
    for (let window = 0; window < lab.windows; window++) {
      await program.take();
      latencies.length = 0;
      await arrivals(seconds);
      const { waitsMs } = (await program.take()) as Watched;
      waits.push(percentile(waitsMs, 0.99));
      ends.push(percentile(latencies, 0.99));
      const told = `wait for a batch ${toldMs(waitsMs)}, end to end ${toldMs(latencies)}`;
      say(`  window ${window + 1} of ${lab.windows}: ${latencies.length} tweets; ${told} (median, 99th)`);
    }
    return { queueWaitP99Ms: waits, endToEndP99Ms: ends, batchMs };
  } finally {
    await program?.stop();
    await channel.stop();
  }
}

/** Milliseconds of one batch as full as the worker's token budget allows. */
async function fullBatch({ config, models, set }: Lab): Promise<number> {
  const rows = set.flatMap((tweet) => tweet.rows);
  const { providers } = config;
  const threads = threadsOfOne(config);
  const plan = sortedBatches(
    rows.map(({ text }) => text.pieces),
    config.batch_tokens,
  );
  const middle = plan.slice(plan.length >> 1, (plan.length >> 1) + 1);
  const bare = await startBare({ bundle: models.ner, rows, threads, providers });
  try {
    const times: number[] = [];
    for (let i = 0; i < 5; i++) times.push(1000 * (await bare.run(middle, 1)));
    say(`  a full batch of ${config.batch_tokens} tokens takes ${median(times).toFixed(0)} ms, called bare`);
    return median(times);
  } finally {
    await bare.stop();
  }
}

function toldMs(values: readonly number[]): string {
  return `${median(values).toFixed(0)} and ${percentile(values, 0.99).toFixed(0)} ms`;
}

/** Mulberry32: the same arrivals in every run. */
function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
