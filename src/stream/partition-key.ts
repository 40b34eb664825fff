import type { TopicPartition } from './port.js';

/** A partition as the key of a map: no topic's name has a slash. */
export function keyOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}
