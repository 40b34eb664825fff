import type { OutputRecord, TopicPartition } from '../port.js';

/** Records for one partition of a topic. */
export interface Part {
  readonly partition: number;
  readonly records: readonly OutputRecord[];
}

export interface GatheringOptions {
  /** Writes to different partitions of one topic in one request. */
  readonly write: (topic: string, parts: readonly Part[]) => Promise<void>;
  /** Which partitions have their records although {@link write} has failed with this error. */
  readonly written: (error: unknown) => ReadonlySet<number>;
  /** The broker that leads a partition; undefined where it is not known. */
  readonly leaderOf: (to: TopicPartition) => number | undefined;
}

export type Gathering = (to: TopicPartition, records: readonly OutputRecord[]) => Promise<void>;

/** Records of one request; more of them cost kafkajs more than another request does. */
const MOST_RECORDS = 512;

/** A part that waits for the end of the turn. */
interface Waiting extends Part {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Sends to many partitions, few requests: what is sent to partitions of one topic and one broker within a turn of the event loop goes
 * together. A batch of inference brings on a dozen lanes at once, and a request costs worker and broker the same whatever is in it.
 *
 * A request that fails says of which partitions it was refused, if it was answered. The others are not written again. Of what has no
 * answer each part is tried once more by itself, so that every lane hears what befell its own records; and a partition goes by itself from
 * then on until a write succeeds, so that one that is away, hangs or refuses costs its neighbours no second time.
 *
 * @returns a send to one partition; calls to the same partition keep their order where each waits for the one before
 */
export function gathering({ write, written, leaderOf }: GatheringOptions): Gathering {
  const waiting = new Map<string, { topic: string; parts: Waiting[] }>();
  /** Partitions whose last write has failed. */
  const failing = new Set<string>();

  const alone = async (topic: string, part: Part): Promise<void> => {
    const key = `${topic}/${part.partition}`;
    try {
      await write(topic, [part]);
      failing.delete(key);
    } catch (error) {
      failing.add(key);
      throw error;
    }
  };

  const together = async (topic: string, parts: readonly Waiting[]): Promise<void> => {
    const [only] = parts;
    if (only && parts.length === 1) return alone(topic, only).then(only.resolve, only.reject);
    try {
      await write(topic, parts);
      for (const { resolve } of parts) resolve();
    } catch (error) {
      const done = written(error);
      for (const part of parts) {
        if (done.has(part.partition)) part.resolve();
        else void alone(topic, part).then(part.resolve, part.reject);
      }
    }
  };

  const flush = (): void => {
    const groups = [...waiting.values()];
    waiting.clear();
    for (const { topic, parts } of groups) for (const request of requestsOf(parts)) void together(topic, request);
  };

  return (to, records) => {
    const leader = leaderOf(to);
    if (leader === undefined || failing.has(`${to.topic}/${to.partition}`))
      return alone(to.topic, { partition: to.partition, records });
    return new Promise((resolve, reject) => {
      if (waiting.size === 0) setImmediate(flush);
      const group = `${to.topic} ${leader}`;
      const held = waiting.get(group) ?? { topic: to.topic, parts: [] };
      waiting.set(group, held);
      held.parts.push({ partition: to.partition, records, resolve, reject });
    });
  };
}

/** Parts by requests: of a partition one, since a broker's limit counts all that a request brings to it. */
function requestsOf(parts: readonly Waiting[]): Waiting[][] {
  const requests: { parts: Waiting[]; partitions: Set<number>; records: number }[] = [];
  for (const part of parts) {
    const fits = requests.find(
      ({ partitions, records }) => !partitions.has(part.partition) && records + part.records.length <= MOST_RECORDS,
    );
    const request = fits ?? { parts: [], partitions: new Set(), records: 0 };
    if (!fits) requests.push(request);
    request.parts.push(part);
    request.partitions.add(part.partition);
    request.records += part.records.length;
  }
  return requests.map((request) => request.parts);
}
