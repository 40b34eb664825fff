import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tarFiles } from '#mner/cli/bench/tar.js';
import { type PictureServer, servePictures } from '#mner/local/picture-server.js';
import { type EntityRecord, entityRecordSchema } from '#mner/ner/record.js';
import { kafkaBroker } from '#mner/stream/kafka/broker.js';
import type { Broker, InputRecord } from '#mner/stream/port.js';

import { startWorker, type WorkerProcess } from '../support/worker-process.js';

const SHARD = join(process.env.MNER_TEST_DATA ?? '../shared/data', 'tweet_images', 'train.tar');
const BROKERS = process.env.MNER_TEST_BROKERS;
const REDIS = process.env.MNER_TEST_REDIS_URL;
const TWEETS = 500;
const PARTITIONS = 6;
/** Pictures made bad on purpose, by the tweet's number, and the status that each must get. */
const BAD: ReadonlyMap<number, string> = new Map([
  [7, 'not_found'],
  [77, 'not_found'],
  [100, 'unreadable'],
  [200, 'unreadable'],
  [300, 'refused'],
]);

const missing =
  [
    existsSync(SHARD) ? '' : 'the shard tweet_images/train.tar',
    BROKERS ? '' : 'MNER_TEST_BROKERS',
    REDIS ? '' : 'MNER_TEST_REDIS_URL',
  ]
    .filter(Boolean)
    .join(', ') || undefined;

describe.skipIf(missing)(
  `500 tweets with pictures through two workers${missing ? ` (skipped: no ${missing})` : ''}`,
  () => {
    const run = randomUUID().slice(0, 8);
    const topics = { input: `in-${run}`, output: `out-${run}`, dead: `dead-${run}` };
    const tweets: { id: string; text: string; url: string }[] = [];
    const workers: WorkerProcess[] = [];
    let broker: Broker;
    let pictures: PictureServer;
    let outputs: Outputs;

    beforeAll(async () => {
      const files = new Map<string, Buffer>();
      const texts: { name: string; text: string }[] = [];
      for (const { name, bytes } of tarFiles(SHARD)) {
        if (name.endsWith('.json')) texts.push({ name: name.slice(0, -5), text: JSON.parse(bytes.toString()).text });
        else if (files.size < TWEETS) files.set(`/${name.replace(/\.[^.]+$/, '')}.jpg`, bytes);
        if (texts.length >= TWEETS && files.size >= TWEETS) break;
      }
      texts.slice(0, TWEETS).forEach(({ name, text }, i) => {
        const path = `/${name}.jpg`;
        if (BAD.get(i) === 'not_found') files.delete(path);
        if (i === 100) files.set(path, Buffer.from('<!doctype html><title>no picture</title>'));
        if (i === 200) files.set(path, (files.get(path) as Buffer).subarray(0, 2000));
        tweets.push({ id: `${run}-${i}`, text, url: path });
      });
      pictures = await servePictures(files);
      for (const [i, tweet] of tweets.entries()) {
        tweet.url =
          BAD.get(i) === 'refused' ? 'http://169.254.169.254/latest' : `http://${pictures.origin}${tweet.url}`;
      }

      broker = kafkaBroker({ brokers: (BROKERS as string).split(',') });
      await broker.connect();
      await broker.createTopics(
        Object.values(topics).map((topic) => ({ topic, partitions: topic === topics.dead ? 1 : PARTITIONS })),
      );
      outputs = await follow(broker, topics.output);
      const env = {
        MNER_BROKERS: BROKERS as string,
        MNER_REDIS_URL: REDIS as string,
        MNER_GROUP: `group-${run}`,
        MNER_INPUT_TOPIC: topics.input,
        MNER_OUTPUT_TOPIC: topics.output,
        MNER_DEAD_LETTER_TOPIC: topics.dead,
        MNER_IMAGE_ALLOW: pictures.origin,
        // Two workers share two cores with everything else that runs here: nobody is in a hurry.
        MNER_IMAGE_BUDGET_MS: '100000',
        MNER_IMAGE_FETCH_TIMEOUT_MS: '30000',
        MNER_REDIS_TIMEOUT_MS: '5000',
        MNER_THREADS: '1',
      };
      workers.push(...(await Promise.all([startWorker(env), startWorker(env)])));
      await send(broker, topics.input, tweets);
      await outputs.count(TWEETS);
    }, 300_000);

    afterAll(async () => {
      await Promise.all(workers.map((worker) => worker.stop()));
      await broker?.close();
      await pictures?.stop();
    }, 60_000);

    it('gives one output for each tweet, none twice, all of the schema', () => {
      expect(new Set(outputs.records.map(({ tweet_id }) => tweet_id)).size).toBe(TWEETS);
      expect(outputs.records).toHaveLength(TWEETS);
      for (const record of outputs.records) expect(() => entityRecordSchema.parse(record)).not.toThrow();
    });

    it('keeps the order of each partition', () => {
      const last = new Map<number, bigint>();
      for (const { source } of outputs.records) {
        const offset = BigInt(source.offset);
        expect(offset).toBeGreaterThan(last.get(source.partition) ?? -1n);
        last.set(source.partition, offset);
      }
      expect(last.size).toBe(PARTITIONS);
    });

    it('gives each output the partition of its input', () => {
      for (const [i, raw] of outputs.raw.entries()) expect(raw.partition).toBe(outputs.records[i]?.source.partition);
    });

    it('places every span exactly, in both units', () => {
      const texts = new Map(tweets.map(({ id, text }) => [id, text]));
      let entities = 0;
      for (const record of outputs.records) {
        const text = texts.get(record.tweet_id) as string;
        const points = [...text];
        expect(record.text_length).toBe(points.length);
        for (const entity of record.entities) {
          entities++;
          expect(text.slice(...entity.utf16)).toBe(entity.text);
          expect(points.slice(entity.start, entity.end).join('')).toBe(entity.text);
        }
      }
      expect(entities).toBeGreaterThan(100);
    });

    it('uses every picture but those made bad on purpose', () => {
      for (const record of outputs.records) {
        const number = Number(record.tweet_id.split('-').at(-1));
        expect([number, record.image.status]).toEqual([number, BAD.get(number) ?? 'used']);
        expect(record.image.relevance === null).toBe(record.image.status !== 'used');
      }
    });

    it('shares the work between both workers', async () => {
      for (const worker of workers) {
        const metrics = await (await fetch(`${worker.url}/metrics`)).text();
        const done = /^mner_tweets_total\{outcome="output"\} (\d+)/m.exec(metrics)?.[1];
        expect(Number(done)).toBeGreaterThan(0);
      }
    });

    it('finds every picture in the cache at the second pass, and asks the origin for none', async () => {
      const before = new Map(pictures.requests);
      await send(
        broker,
        topics.input,
        tweets.map((tweet) => ({ ...tweet, id: `again-${tweet.id}` })),
      );
      await outputs.count(2 * TWEETS);
      expect(new Map(pictures.requests)).toEqual(before);
      const second = outputs.records.slice(TWEETS);
      expect(new Set(second.map(({ tweet_id }) => tweet_id)).size).toBe(TWEETS);
      for (const { image } of second) expect(image.cache).toBe('hit');
    }, 100_000);

    it('holds each worker under 900 MB of memory', () => {
      for (const worker of workers) expect(worker.residentMb()).toBeLessThan(900);
    });

    it('has committed everything by the time it was told to stop, and stops cleanly', async () => {
      expect(await Promise.all(workers.map((worker) => worker.stop()))).toEqual([0, 0]);
      for (const { end, committed } of await broker.offsets(topics.input, `group-${run}`)) expect(committed).toBe(end);
    }, 60_000);
  },
);

interface Outputs {
  readonly records: EntityRecord[];
  readonly raw: InputRecord[];
  /** Resolves when so many records have come. */
  count(records: number): Promise<void>;
}

async function follow(broker: Broker, topic: string): Promise<Outputs> {
  const records: EntityRecord[] = [];
  const raw: InputRecord[] = [];
  let arrived = () => {};
  await broker.consumer({ topics: [topic], group: `reader-${randomUUID()}` }).start({
    assigned: () => {},
    revoked: () => {},
    failed: (error) => {
      throw error;
    },
    records: async (batch) => {
      for (const record of batch) {
        raw.push(record);
        records.push(JSON.parse(String(record.value)) as EntityRecord);
      }
      arrived();
    },
  });
  return {
    records,
    raw,
    async count(wanted) {
      while (records.length < wanted) {
        await new Promise<void>((resolve) => {
          arrived = resolve;
        });
      }
    },
  };
}

async function send(broker: Broker, topic: string, tweets: readonly { id: string; text: string; url: string }[]) {
  const producer = await broker.producer();
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const part = tweets.filter((_, i) => i % PARTITIONS === partition);
    await producer.send(
      { topic, partition },
      part.map(({ id, text, url }) => ({
        key: Buffer.from(id),
        value: Buffer.from(JSON.stringify({ id, text, media: [{ type: 'photo', url }] })),
        headers: [],
      })),
    );
  }
  await producer.stop();
}
