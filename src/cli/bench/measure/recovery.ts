import { delay, systemClock } from '../../../clock.js';
import { say } from '../../print.js';
import { type Channel, openChannel, PARTITIONS } from '../channel.js';
import { fromSamples, type Measured } from '../figure.js';
import type { Lab } from '../lab.js';
import { type Program, startProgram } from '../program.js';
import { TEXT_ONLY, textValues } from '../values.js';

/** Long enough that a stall of the machine ends no session, short enough for several kills. */
const SESSION_MS = 10_000;
const SESSION = { session_timeout_ms: `${SESSION_MS}`, drain_timeout_ms: '5000', transaction_timeout_ms: '5000' };
/** What the goal allows beside the session's time-out, in seconds. */
const GRACE_SECONDS = 5;
const MOST_KILLS = 3;
/** So often every partition gets a tweet, in milliseconds. */
const TRICKLE_MS = 250;

/**
 * `recovery_s`: one of two workers is killed with -9. The time until each of the twelve partitions has an output of a tweet that
 * was sent after the kill, so also those that were the dead worker's.
 */
export async function recovery(lab: Lab): Promise<Measured> {
  /** Partitions that have an output of a tweet of the newest round since `from`. */
  const alive = new Set<number>();
  let from = 0;
  let news = () => {};
  const channel = await openChannel(lab, ({ partition, key }) => {
    if (Number(key) < from) return;
    alive.add(partition);
    news();
  });
  const start = () => startProgram('run', lab, { ...TEXT_ONLY, ...SESSION, ...channel.overrides });
  const workers: Program[] = [];
  const trickle = startTrickle(channel, textValues(lab));
  const everyPartition = async () => {
    while (alive.size < PARTITIONS) {
      const told = new Promise<void>((resolve) => {
        news = resolve;
      });
      await Promise.race([told, trickle.failed, ...workers.map(({ failed }) => failed)]);
    }
  };
  const again = () => {
    from = trickle.sent;
    alive.clear();
  };
  const samples: number[] = [];
  try {
    workers.push(await start(), await start());
    for (let kill = 0; kill < Math.min(MOST_KILLS, lab.windows); kill++) {
      again();
      await everyPartition();
      const victim = workers.shift() as Program;
      await victim.kill();
      const at = systemClock.now();
      again();
      await everyPartition();
      samples.push((systemClock.now() - at) / 1000);
      say(`  kill ${kill + 1}: all partitions move after ${samples.at(-1)?.toFixed(1)} s`);
      workers.push(await start());
    }
    return { ...fromSamples(samples), goal: SESSION_MS / 1000 + GRACE_SECONDS };
  } finally {
    await trickle.stop();
    await Promise.all(workers.map((worker) => worker.stop()));
    await channel.stop();
  }
}

/** A tweet for each partition, again and again; its key is its number. */
function startTrickle(channel: Channel, values: readonly Buffer[]) {
  const stopping = new AbortController();
  let sent = 0;
  const run = async () => {
    while (!stopping.signal.aborted) {
      for (let partition = 0; partition < PARTITIONS; partition++) {
        const value = values[sent % values.length] as Buffer;
        await channel.send(partition, [{ key: Buffer.from(`${sent++}`), value, headers: [] }]);
      }
      await delay(systemClock, TRICKLE_MS, stopping.signal);
    }
  };
  const ended = run();
  return {
    get sent() {
      return sent;
    },
    /** Rejects when a tweet cannot be sent. */
    failed: ended.then((): Promise<never> => new Promise(() => {})),
    async stop() {
      stopping.abort();
      await ended.catch(() => {});
    },
  };
}
