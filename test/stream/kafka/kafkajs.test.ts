import { afterEach, describe, expect, it } from 'vitest';
import { Kafka, logLevel } from '#mner/stream/kafka/kafkajs.js';
import { seen } from '../../support/seen.js';
import { BROKERS, NO_SERVERS } from '../../support/servers.js';
import { freshName } from '../names.js';

const systemNow = Date.now;
afterEach(() => {
  Date.now = systemNow;
});

describe.skipIf(NO_SERVERS !== '')(`kafkajs${NO_SERVERS}`, () => {
  it.for([
    ['back', -3_600_000],
    ['on', 3_600_000],
  ] as const)(
    'fault 47: the clock goes %s an hour: heartbeats and fetches go on, and no request is given up',
    async ([way, ms], { task }) => {
      const client = new Kafka({ brokers: BROKERS.split(','), logLevel: logLevel.NOTHING });
      const topic = freshName('in');
      const admin = client.admin();
      await admin.connect();
      await admin.createTopics({ topics: [{ topic }] });
      const consumer = client.consumer({ groupId: freshName('group'), heartbeatInterval: 50, maxWaitTimeInMs: 500 });
      const heard: string[] = [];
      let told = () => {};
      const { FETCH_START, FETCH, HEARTBEAT, GROUP_JOIN, REQUEST_TIMEOUT } = consumer.events;
      const watch = (type: typeof FETCH | typeof HEARTBEAT | typeof GROUP_JOIN | typeof REQUEST_TIMEOUT) =>
        consumer.on(type as typeof FETCH, () => {
          heard.push(type);
          told();
        });
      for (const type of [FETCH, HEARTBEAT, GROUP_JOIN, REQUEST_TIMEOUT]) watch(type);
      const count = (type: string) => heard.filter((one) => one === type).length;
      const until = async (met: () => boolean) => {
        while (!met())
          await new Promise<void>((resolve) => {
            told = resolve;
          });
      };
      try {
        await consumer.connect();
        await consumer.subscribe({ topics: [topic], fromBeginning: true });
        await consumer.run({ eachBatch: async () => {} });
        await until(() => count(GROUP_JOIN) === 1 && count(FETCH) > 0);
        // At its very moment a fetch waits at the broker: it was sent in the same turn.
        await new Promise<void>((resolve) => consumer.on(FETCH_START, () => setImmediate(resolve)));
        heard.length = 0;
        Date.now = () => systemNow() + ms;
        await until(() => (count(HEARTBEAT) >= 3 && count(FETCH) >= 3) || count(REQUEST_TIMEOUT) > 0);
        expect([count(REQUEST_TIMEOUT), count(GROUP_JOIN)]).toEqual([0, 0]);
        seen(task, `an hour ${way}: kafkajs goes on beating and fetching, 0 requests given up`);
      } finally {
        Date.now = systemNow;
        await consumer.disconnect();
        await admin.disconnect();
      }
    },
  );
});
