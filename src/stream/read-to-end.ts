import { randomUUID } from 'node:crypto';
import { MnerError } from '../errors.js';
import type { Broker, InputRecord } from './port.js';

export interface ReadOptions {
  readonly broker: Broker;
  readonly topic: string;
  /** Begins the name of the group that reads; it is new each time, and commits nothing. */
  readonly group: string;
  /** @default all of them */
  readonly partitions?: ReadonlySet<number> | undefined;
  /**
   * Takes the next records of one partition, one call at a time. False ends the reading. It may write them somewhere, which
   * holds up the next fetch, but must be done well within a session (30 seconds).
   */
  readonly take: (records: readonly InputRecord[]) => Promise<boolean> | boolean;
  /** Ends the reading early. */
  readonly signal?: AbortSignal;
}

/** How often reading begins anew when the group is joined again; a cluster whose leaders move makes that happen. */
const ATTEMPTS = 10;

/**
 * Reads a topic from its oldest record to where it ends now, each partition in order. What comes later is left alone.
 *
 * @throws MnerError `broker_unavailable` when the cluster moves partitions again and again; what `take` and the wire throw
 */
export async function readToEnd({ broker, topic, group, partitions, take, signal }: ReadOptions): Promise<void> {
  const name = () => `${group}-${randomUUID()}`;
  const left = new Map<number, Left>();
  for (const { partition, start, end } of await broker.offsets(topic, name()))
    if (start < end && (partitions?.has(partition) ?? true)) left.set(partition, { next: start, end });

  let ended = left.size === 0;
  for (let attempt = 1; !ended && !signal?.aborted; attempt += 1) {
    if (attempt > ATTEMPTS)
      throw new MnerError('broker_unavailable', `Partitions of ${topic} move while they are read.`, {
        remedy: 'Try again later.',
      });
    ended = await readOn(name());
  }

  /** Reads what is left. @returns false when the group was joined again, where reading would begin at the oldest record */
  async function readOn(as: string): Promise<boolean> {
    const consumer = broker.consumer({ topics: [topic], group: as, from: 'earliest' });
    let finish: (done: boolean) => void = () => {};
    let fail: (error: unknown) => void = () => {};
    const over = new Promise<boolean>((resolve, reject) => {
      finish = resolve;
      fail = reject;
    });
    over.catch(() => {});
    const stop = () => finish(true);
    signal?.addEventListener('abort', stop);
    let [assignments, open] = [0, true];
    let taking: Promise<void> = Promise.resolve();

    const hand = async (records: readonly InputRecord[]): Promise<void> => {
      const at = left.get(records[0]?.partition ?? -1);
      const wanted = at ? records.filter(({ offset }) => offset >= at.next && offset < at.end) : [];
      const last = wanted.at(-1);
      if (!at || !last || !open || signal?.aborted) return;
      try {
        if (!(await take(wanted))) finish(true);
        at.next = last.offset + 1n;
      } catch (error) {
        fail(error);
      }
    };

    try {
      const joined = consumer.start({
        assigned(given) {
          assignments += 1;
          if (assignments > 1) finish(false);
          consumer.pause(given.filter(({ partition }) => !left.has(partition)));
        },
        revoked: () => {},
        failed: fail,
        reached({ partition }, next) {
          if (assignments > 1 || next < (left.get(partition)?.end ?? next)) return;
          left.delete(partition);
          if (left.size === 0) finish(true);
        },
        records(records) {
          taking = hand(records);
          return taking;
        },
      });
      await Promise.race([joined, over]);
      return await over;
    } finally {
      open = false;
      signal?.removeEventListener('abort', stop);
      await taking;
      await consumer.stop();
    }
  }
}

/** What is still to be read of a partition. */
interface Left {
  next: bigint;
  readonly end: bigint;
}
