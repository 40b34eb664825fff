import type { Admin } from 'kafkajs';
import { delay } from '../../clock.js';
import { MnerError } from '../../errors.js';
import type { GroupOffset } from '../port.js';
import { CONNECT_DEADLINE_MS, type KafkaCluster } from './client.js';
import { hasType, wireError } from './errors.js';
import type { Leaders } from './leaders.js';
import { untilPassed } from './passing.js';
import { createRefusals } from './refusals.js';

/** What of Kafka is asked and set beside reading and writing records. */
export interface KafkaAdmin {
  /** @throws MnerError `broker_unreachable`, `tls_failed`, `authentication_failed` */
  connect(): Promise<void>;
  /** Of those that exist. @throws MnerError `not_authorised` for one that this user may not see, be it there or not */
  partitions(names: readonly string[]): Promise<ReadonlyMap<string, number>>;
  /** Which broker leads each of the topic's partitions now. */
  leaders(topic: string): Promise<Leaders>;
  createTopics(topics: readonly { topic: string; partitions: number; replicas?: number }[]): Promise<string[]>;
  /** @param known how many partitions the topic has at least, as somebody heard who asked later than kafkajs's admin did @default 0 */
  offsets(topic: string, group: string, known?: number): Promise<readonly GroupOffset[]>;
  stop(): Promise<void>;
}

export function kafkaAdmin(cluster: KafkaCluster): KafkaAdmin {
  let connected: Promise<Admin> | undefined;
  let stopped = false;
  const refusals = createRefusals();

  const connect = (): Promise<Admin> => {
    if (stopped) return Promise.reject(new MnerError('broker_unavailable', 'The connection to Kafka has been closed.'));
    connected ??= open().catch((error) => {
      connected = undefined;
      throw error;
    });
    return connected;
  };

  const open = async (): Promise<Admin> => {
    const admin = cluster.client({ refusals }).admin();
    const what = `Cannot reach Kafka at ${cluster.brokers}`;
    const stop = new AbortController();
    // kafkajs bounds a refused or silent connection, but not a server that accepts it and speaks another protocol.
    const tooLate = delay(cluster.clock, CONNECT_DEADLINE_MS, stop.signal).then(() => {
      throw new MnerError('broker_unreachable', `${what}: no answer within ${CONNECT_DEADLINE_MS / 1000} seconds.`);
    });
    try {
      // A broker that wants a login lets us in without one, and closes the connection at the first request.
      await Promise.race([admin.connect().then(() => admin.describeCluster()), tooLate]);
      return admin;
    } catch (error) {
      admin.disconnect().catch(() => {});
      throw wireError(error, what, 'broker_unreachable');
    } finally {
      tooLate.catch(() => {});
      stop.abort();
    }
  };

  const ask = async <T>(what: string, question: (admin: Admin) => Promise<T>): Promise<T> => {
    const admin = await connect();
    try {
      return await question(admin);
    } catch (error) {
      throw wireError(refusals.explain(error), what);
    }
  };

  /** Resolves when every partition of a new topic has a leader that answers for it. */
  const led = async (admin: Admin, topic: string): Promise<void> => {
    const deadline = cluster.clock.now() + CONNECT_DEADLINE_MS;
    for (;;) {
      try {
        await admin.fetchTopicOffsets(topic);
        return;
      } catch (error) {
        if (cluster.clock.now() > deadline) throw error;
      }
      await delay(cluster.clock, 50);
    }
  };

  /**
   * Why a topic is not listed: it does not exist, or this user may not see it, which Kafka tells only who asks by name. By a
   * connection of its own: kafkajs answers nothing at all for a name that it has once known and the broker now refuses.
   */
  const refuseHidden = async (names: readonly string[]): Promise<void> => {
    if (names.length === 0) return;
    const admin = await open();
    try {
      for (const name of names) {
        await admin.fetchTopicMetadata({ topics: [name] }).catch((error) => {
          if (!hasType(error, ['UNKNOWN_TOPIC_OR_PARTITION'])) throw wireError(error, `Cannot see the topic ${name}`);
        });
      }
    } finally {
      admin.disconnect().catch(() => {});
    }
  };

  const partitions = (names: readonly string[]) =>
    ask('Cannot list the topics', async (admin) => {
      // By name, kafkajs answers nothing at all when one of the topics is missing; so all are listed first.
      const existing = new Set(await admin.listTopics());
      await refuseHidden(names.filter((name) => !existing.has(name)));
      const found = new Map<string, number>();
      for (const name of names.filter((name) => existing.has(name))) {
        const { topics } = await admin.fetchTopicMetadata({ topics: [name] });
        found.set(name, topics[0]?.partitions.length ?? 0);
      }
      return found;
    });

  const offsetsOf = (topic: string, group: string) =>
    ask(`Cannot read the offsets of ${topic} in the group ${group}`, async (admin) => {
      const [ends, commits] = [
        await admin.fetchTopicOffsets(topic),
        await untilPassed(
          cluster.clock,
          () => stopped,
          () => admin.fetchOffsets({ groupId: group, topics: [topic] }),
        ),
      ];
      const committed = new Map(commits[0]?.partitions.map((one) => [one.partition, one]));
      return ends
        .map(({ partition, low, high }) => {
          const of = committed.get(partition);
          const offset = BigInt(of?.offset ?? -1);
          const ours = { committed: offset < 0n ? null : offset, metadata: of?.metadata ?? '' };
          return { partition, start: BigInt(low), end: BigInt(high), ...ours };
        })
        .sort((a, b) => a.partition - b.partition);
    });

  /** kafkajs's admin asks for the partitions of a topic again only after five minutes; a new one asks at once. */
  const renew = (): void => {
    const old = connected;
    connected = undefined;
    void old?.then((admin) => admin.disconnect()).catch(() => {});
  };

  return {
    connect: async () => void (await connect()),
    partitions,
    leaders: (topic) =>
      ask(`Cannot tell who leads ${topic}`, async (admin) => {
        const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
        return new Map(topics[0]?.partitions.map(({ partitionId, leader }) => [partitionId, leader]));
      }),
    async createTopics(topics) {
      const existing = await partitions(topics.map(({ topic }) => topic));
      const missing = topics.filter(({ topic }) => !existing.has(topic));
      const created: string[] = [];
      for (const { topic, partitions: numPartitions, replicas } of missing) {
        // False where somebody else was quicker.
        const made = await ask(`Cannot create the topic ${topic}`, (admin) =>
          admin.createTopics({
            topics: [{ topic, numPartitions, replicationFactor: replicas ?? -1 }],
            // kafkajs's own wait gives up at once when a broker has not heard of the topic yet.
            waitForLeaders: false,
          }),
        );
        await ask(`Cannot create the topic ${topic}`, (admin) => led(admin, topic));
        if (made) created.push(topic);
      }
      return created;
    },
    async offsets(topic, group, known = 0) {
      const found = await offsetsOf(topic, group);
      if (found.length >= known) return found;
      renew();
      return offsetsOf(topic, group);
    },
    async stop() {
      stopped = true;
      const admin = await connected?.catch(() => undefined);
      await admin?.disconnect().catch(() => {});
    },
  };
}
