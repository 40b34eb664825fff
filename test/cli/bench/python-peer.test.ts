import { randomUUID } from 'node:crypto';
import { expect, it } from 'vitest';
import { hasPythonPeer, pythonPeer } from '#mner/cli/bench/python-peer.js';
import { loadConfig } from '#mner/config/load.js';
import { loadModels } from '#mner/models.js';
import type { EntityRecord } from '#mner/ner/record.js';
import { kafkaBroker } from '#mner/stream/kafka/broker.js';
import { inbox } from '../../stream/inbox.js';
import { BROKERS, TINY } from '../../support/servers.js';
import { mner } from '../../support/worker-process.js';

const PARTITIONS = 2;
const TEXTS = [
  'Anna met Ben in Oslo',
  '@Oslo said: #KobeBryant is 8 !!',
  '😀 Zoë and the UN in São Paulo 😀 ',
  'https://t.co/abc  RT  so   many   spaces',
];
const TWEETS = Array.from({ length: 40 }, (_, i) => ({
  id: `${i}`,
  text: `${TEXTS[i % TEXTS.length]} ${'so '.repeat(i % 9)}${i}`,
}));
const WHY =
  BROKERS === '' ? 'no MNER_TEST_BROKERS' : hasPythonPeer() ? '' : 'not set up; `mner bench --peers` does that';

/** What must be the same: not where and when, and confidences as far as two builds of ONNX Runtime agree. */
function comparable({ tweet_id, text_length, entities, image, model }: EntityRecord) {
  const rounded = entities.map((entity) => ({ ...entity, confidence: expect.closeTo(entity.confidence, 2) as number }));
  return { tweet_id, text_length, entities: rounded, image, model };
}

it.skipIf(WHY !== '')(
  `the Python peer's records are ours${WHY && ` (skipped: ${WHY})`}`,
  { timeout: 150_000 },
  async () => {
    const config = loadConfig({ env: { ...TINY, MNER_BROKERS: BROKERS } }).config;
    const run = randomUUID().slice(0, 8);
    const [input, output] = [`in-${run}`, `out-${run}`];
    const ours = await mner(['extract', '-'], {
      env: { ...TINY, MNER_REDIS_URL: 'none' },
      input: TWEETS.map((tweet) => JSON.stringify(tweet)).join('\n'),
    });
    expect(ours.code).toBe(0);
    const expected = ours.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as EntityRecord);
    const broker = kafkaBroker({ brokers: BROKERS.split(',') });
    try {
      await broker.createTopics([input, output].map((topic) => ({ topic, partitions: PARTITIONS })));
      const outputs = inbox();
      const reader = broker.consumer({ topics: [output], group: `reader-${run}` });
      await reader.start(outputs);
      const start = await pythonPeer({
        config: { ...config, batch_tokens: 1024, inference_processes: 1 },
        models: await loadModels(config),
      });
      if ('skipped' in start) throw new Error(start.skipped);
      const peer = await start({
        brokers: BROKERS,
        group: `peer-${run}`,
        input_topic: input,
        output_topic: output,
      });
      try {
        const producer = await broker.producer();
        for (let partition = 0; partition < PARTITIONS; partition++) {
          const mine = TWEETS.filter((_, i) => i % PARTITIONS === partition);
          const records = mine.map((tweet) => ({ key: null, value: Buffer.from(JSON.stringify(tweet)), headers: [] }));
          await producer.send({ topic: input, partition }, records);
        }
        await producer.stop();
        const arrived = outputs.until(({ records }) => records.all.length >= TWEETS.length);
        await Promise.race([arrived, peer.failed]);
      } finally {
        await peer.stop();
        await reader.stop();
      }
      const theirs = outputs.records.all
        .map(({ value }) => JSON.parse(String(value)) as EntityRecord)
        .sort((a, b) => Number(a.tweet_id) - Number(b.tweet_id));
      expect(theirs).toHaveLength(TWEETS.length);
      expect(theirs.some(({ entities }) => entities.length > 0)).toBe(true);
      expect(theirs).toEqual(expected.map((record) => expect.objectContaining(comparable(record))));
    } finally {
      await broker.close();
    }
  },
);
