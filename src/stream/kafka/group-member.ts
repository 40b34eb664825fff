import type { Consumer as KafkaConsumer } from 'kafkajs';
import type { KafkaCluster } from './client.js';
import type { Refusals } from './refusals.js';

export interface MemberOptions {
  readonly group: string;
  readonly sessionTimeoutMs: number;
  readonly maxBytesPerPartition: number;
  readonly refusals: Refusals;
  /** Whether kafkajs may start it again by itself after an error that it calls retriable. */
  readonly restarts: () => boolean;
}

/** A consumer of kafkajs, not connected yet, as a worker needs it: quick to hear of a rebalance, and to end. */
export function createMember(cluster: KafkaCluster, options: MemberOptions): KafkaConsumer {
  const { group, sessionTimeoutMs, maxBytesPerPartition, refusals, restarts } = options;
  return cluster.client({ refusals }).consumer({
    groupId: group,
    sessionTimeout: sessionTimeoutMs,
    // How long the others wait for one that is slow to join again; more than its session would be pointless.
    rebalanceTimeout: sessionTimeoutMs,
    // A rebalance shows in the answer to a heartbeat. They are sent between fetches, none of which takes long.
    heartbeatInterval: Math.max(50, Math.min(3000, Math.floor(sessionTimeoutMs / 10))),
    maxBytesPerPartition,
    // `disconnect` waits for the fetch under way: 0.03 s with this, 4.8 s with the default of 5 s.
    maxWaitTimeInMs: 100,
    // Partitions that are added live show with the metadata; the default is five minutes.
    metadataMaxAge: 30_000,
    allowAutoTopicCreation: false,
    retry: {
      initialRetryTime: 100,
      maxRetryTime: 2000,
      factor: 0.2,
      multiplier: 2,
      retries: 5,
      restartOnFailure: async () => restarts(),
    },
  });
}
