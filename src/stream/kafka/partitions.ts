import { asMnerError, MnerError } from '../../errors.js';
import type { TopicPartition } from '../port.js';
import type { KafkaAdmin } from './admin.js';
import { hasType } from './errors.js';

/** As kafkajs wants them. */
export function each(partitions: readonly TopicPartition[]) {
  return partitions.map(({ topic, partition }) => ({ topic, partitions: [partition] }));
}

/** The topics of these, each once. */
export function topicsOf(partitions: readonly TopicPartition[]): string[] {
  return [...new Set(partitions.map(({ topic }) => topic))];
}

/** How many partitions a topic has at least, where these are some of them. */
export function knownOf(partitions: readonly TopicPartition[], topic: string): number {
  return Math.max(0, ...partitions.map((one) => (one.topic === topic ? one.partition + 1 : 0)));
}

/** @throws MnerError `topic_missing` */
export async function requireTopics(admin: KafkaAdmin, topics: readonly string[]): Promise<void> {
  const existing = await admin.partitions(topics);
  const missing = topics.filter((topic) => !existing.has(topic));
  if (missing.length === 0) return;
  const names = missing.join(', ');
  throw new MnerError('topic_missing', `The input topic ${names} does not exist, or this user may not see it.`);
}

/**
 * Whether a consumer crashed because one of its topics is gone. kafkajs cannot tell that from a broker that has not heard of it
 * yet, and would start again for ever.
 *
 * @returns `topic_missing`; undefined where it was something else, or nobody can say now
 */
export async function goneTopic(
  admin: KafkaAdmin,
  topics: readonly string[],
  crash: unknown,
): Promise<MnerError | undefined> {
  if (!hasType(crash, ['UNKNOWN_TOPIC_OR_PARTITION'])) return undefined;
  try {
    await requireTopics(admin, topics);
  } catch (thrown) {
    const error = asMnerError(thrown);
    if (error.code === 'topic_missing') return error;
  }
  return undefined;
}
