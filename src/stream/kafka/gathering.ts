import { recordBytes } from '../headers.js';
import { keyOf } from '../partition-key.js';
import type { OutputRecord, TopicPartition } from '../port.js';

/** Records for one partition of a topic. */
export interface Share {
  readonly partition: number;
  readonly records: readonly OutputRecord[];
}

export interface GatheringOptions {
  /** Writes to different partitions of one topic in one request. */
  readonly write: (topic: string, shares: readonly Share[]) => Promise<void>;
  /**
   * Where {@link write} has failed with this error because a broker has said so, the partitions that it took all the same; undefined where
   * there was no answer, so that nobody knows.
   */
  readonly taken: (error: unknown) => ReadonlySet<number> | undefined;
  /** The broker that leads a partition; undefined where it is not known. */
  readonly leaderOf: (to: TopicPartition) => number | undefined;
}

/** Records and bytes of one request: kafkajs's cost grows with the one, and a thin line or a broker's limit is for the other. */
const MOST_RECORDS = 512;
const MOST_BYTES = 1024 * 1024;

/** A share that waits for the end of the turn. */
interface Waiting extends Share {
  readonly bytes: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Sends to many partitions, few requests: what is sent to partitions of one topic and one broker within a turn of the event loop goes
 * together. A batch of inference brings on a dozen lanes at once, and a request costs worker and broker the same whatever is in it.
 *
 * Where a broker answers with an error, it says which partitions it took. Those are done; the others are written again one by one, so that each
 * sender hears what befell its own records. Without an answer each sender hears just that, and tries again if its partition is still ours.
 * After an error a partition goes by itself until a write to it succeeds: one that is away, hangs or refuses costs its
 * neighbours no second time.
 *
 * What is known of leaders may be old. Then a request becomes several, and a broker that refuses its part of it does not say what another one
 * took: records may be written twice, as at least once allows.
 *
 * @returns a send to one partition; calls to the same partition keep their order where each waits for the one before
 */
export function gathering({ write, taken, leaderOf }: GatheringOptions) {
  const waiting = new Map<string, { topic: string; shares: Waiting[] }>();
  /** Partitions whose last write has failed. */
  const failing = new Set<string>();

  const alone = async (topic: string, share: Share): Promise<void> => {
    const key = keyOf({ topic, partition: share.partition });
    try {
      await write(topic, [share]);
      failing.delete(key);
    } catch (error) {
      failing.add(key);
      throw error;
    }
  };

  const together = async (topic: string, shares: readonly Waiting[]): Promise<void> => {
    const [only] = shares;
    if (only && shares.length === 1) return alone(topic, only).then(only.resolve, only.reject);
    try {
      await write(topic, shares);
      for (const { resolve } of shares) resolve();
    } catch (error) {
      const done = taken(error);
      for (const share of shares) {
        if (done?.has(share.partition)) share.resolve();
        else if (done) void alone(topic, share).then(share.resolve, share.reject);
        else {
          failing.add(keyOf({ topic, partition: share.partition }));
          share.reject(error);
        }
      }
    }
  };

  const flush = (): void => {
    const groups = [...waiting.values()];
    waiting.clear();
    for (const { topic, shares } of groups) for (const request of requestsOf(shares)) void together(topic, request);
  };

  return (to: TopicPartition, records: readonly OutputRecord[]): Promise<void> => {
    const leader = leaderOf(to);
    if (leader === undefined || failing.has(keyOf(to))) return alone(to.topic, { partition: to.partition, records });
    return new Promise((resolve, reject) => {
      if (waiting.size === 0) setImmediate(flush);
      const group = `${to.topic} ${leader}`;
      const held = waiting.get(group) ?? { topic: to.topic, shares: [] };
      waiting.set(group, held);
      held.shares.push({ partition: to.partition, records, bytes: bytesOf(records), resolve, reject });
    });
  };
}

interface Request {
  readonly shares: Waiting[];
  readonly partitions: Set<number>;
  records: number;
  bytes: number;
}

/** Shares by requests: of a partition one, since a broker's limit counts all that a request brings to it. */
function requestsOf(shares: readonly Waiting[]): Waiting[][] {
  const requests: Request[] = [];
  for (const share of shares) {
    const fits = requests.find(
      ({ partitions, records, bytes }) =>
        !partitions.has(share.partition) &&
        records + share.records.length <= MOST_RECORDS &&
        bytes + share.bytes <= MOST_BYTES,
    );
    const request = fits ?? { shares: [], partitions: new Set(), records: 0, bytes: 0 };
    if (!fits) requests.push(request);
    request.shares.push(share);
    request.partitions.add(share.partition);
    request.records += share.records.length;
    request.bytes += share.bytes;
  }
  return requests.map((request) => request.shares);
}

function bytesOf(records: readonly OutputRecord[]): number {
  return records.reduce((sum, record) => sum + recordBytes(record), 0);
}
