import type { Config } from './config/schema.js';
import type { RetryTopic } from './stream/retry-topic.js';

/** The topics that a worker reads. */
export function inputsOf({ input_topic, replay_topic, retry_topic }: Config): string[] {
  return [input_topic, replay_topic, retry_topic].filter((topic) => topic !== null);
}

/** Whether the topic takes what the live stream leaves. */
export function isLow({ replay_topic, retry_topic }: Config, topic: string): boolean {
  return topic === replay_topic || topic === retry_topic;
}

/** Where records that failed for now wait; undefined where there is no such topic. */
export function retryOf({
  retry_topic: topic,
  retry_delay_ms: delayMs,
  retry_attempts: attempts,
}: Config): RetryTopic | undefined {
  return topic === null ? undefined : { topic, delayMs, attempts };
}
