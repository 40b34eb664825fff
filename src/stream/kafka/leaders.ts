import type { Clock } from '../../clock.js';
import type { TopicPartition } from '../port.js';

/** The broker that leads each partition of a topic, by its number. */
export type Leaders = ReadonlyMap<number, number>;

/** kafkajs's producers look at the metadata of their topics as seldom. */
const FRESH_MS = 30_000;

/**
 * Who leads a partition, as far as is known without waiting. It is asked for in the background, at the first question and every half
 * minute from then on. What has changed meanwhile is no error: it decides only which records share a request.
 *
 * @returns undefined where it is not known yet
 */
export function knownLeaders(
  ask: (topic: string) => Promise<Leaders>,
  clock: Clock,
): (to: TopicPartition) => number | undefined {
  const topics = new Map<string, { leaders: Leaders; asked: number }>();
  return ({ topic, partition }) => {
    const known = topics.get(topic) ?? { leaders: new Map(), asked: Number.NEGATIVE_INFINITY };
    if (clock.now() - known.asked >= FRESH_MS) {
      known.asked = clock.now();
      topics.set(topic, known);
      ask(topic).then(
        (leaders) => {
          known.leaders = leaders;
        },
        () => {}, // As it was; asked again in half a minute.
      );
    }
    return known.leaders.get(partition);
  };
}
