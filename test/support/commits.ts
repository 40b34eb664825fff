import type { Broker, InputRecord } from '#mner/stream/port.js';
import { readToEnd } from '#mner/stream/read-to-end.js';
import { freshName } from '../stream/names.js';

/** Kafka's own topic, in which every commit of every group is a record. */
const COMMITS = '__consumer_offsets';

/**
 * Every offset that a group has committed for a topic, partition by partition, in the order in which the broker took them: from its
 * log, so that none is missed between two looks. Those of a transaction are there once it is committed.
 */
export async function commitsOf(
  broker: Broker,
  { input: topic, group }: { readonly input: string; readonly group: string },
): Promise<ReadonlyMap<number, readonly number[]>> {
  const commits = new Map<number, number[]>();
  const take = (records: readonly InputRecord[]) => {
    for (const { key, value } of records) {
      const of = key && commitKey(key);
      if (!of || !value || of.group !== group || of.topic !== topic) continue;
      const offsets = commits.get(of.partition) ?? [];
      commits.set(of.partition, offsets);
      // It stands behind the number of the format.
      offsets.push(Number(value.readBigInt64BE(2)));
    }
    return true;
  };
  await readToEnd({ broker, topic: COMMITS, group: freshName('commits'), take });
  return commits;
}

/** Null for what is no commit, such as the members of a group. */
function commitKey(key: Buffer): { group: string; topic: string; partition: number } | null {
  if (key.readInt16BE(0) > 1) return null;
  const groupEnd = 4 + key.readInt16BE(2);
  const topicEnd = groupEnd + 2 + key.readInt16BE(groupEnd);
  return {
    group: key.toString('utf8', 4, groupEnd),
    topic: key.toString('utf8', groupEnd + 2, topicEnd),
    partition: key.readInt32BE(topicEnd),
  };
}
