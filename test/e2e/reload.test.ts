import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EntityRecord } from '#mner/ner/record.js';
import { kafkaBroker } from '#mner/stream/kafka/broker.js';
import type { Broker } from '#mner/stream/port.js';
import { type BundleFolder, bundleFolder } from '../serving/bundles.js';
import { type Inbox, inbox } from '../stream/inbox.js';
import { seen } from '../support/seen.js';
import { BROKERS, NO_SERVERS, TINY_WITH_SERVERS } from '../support/servers.js';
import { startWorker, type WorkerProcess } from '../support/worker-process.js';

const PARTITIONS = 2;
/** Sent in so many parts, with a reload asked for after each but the last. */
const ROUNDS = 4;
const EACH = 150;
const SHORT = 'Anna met Ben in Oslo';
/** Several windows: each has entities of its own. */
const LONG = Array.from({ length: 60 }, () => 'Anna met Ben in Oslo and 1 2 3 4 5 6').join(' ');

describe.skipIf(NO_SERVERS)(`a real worker whose bundle is replaced${NO_SERVERS}`, { timeout: 180_000 }, () => {
  const run = randomUUID().slice(0, 8);
  const topics = { input: `in-${run}`, output: `out-${run}`, dead: `dead-${run}` };
  let broker: Broker;
  let outputs: Inbox;
  let bundles: BundleFolder;
  let worker: WorkerProcess;

  beforeAll(async () => {
    bundles = bundleFolder();
    broker = kafkaBroker({ brokers: BROKERS.split(',') });
    await broker.createTopics(Object.values(topics).map((topic) => ({ topic, partitions: PARTITIONS })));
    outputs = inbox();
    await broker.consumer({ topics: [topics.output], group: `reader-${run}` }).start(outputs);
    worker = await startWorker({
      ...TINY_WITH_SERVERS,
      MNER_MODELS_DIR: bundles.root,
      MNER_BUNDLE: 'ham-faulty',
      MNER_REPEAT_CACHE_BYTES: '0',
      MNER_GROUP: `group-${run}`,
      MNER_INPUT_TOPIC: topics.input,
      MNER_OUTPUT_TOPIC: topics.output,
      MNER_DEAD_LETTER_TOPIC: topics.dead,
    });
  });
  afterAll(async () => {
    await worker?.stop('SIGKILL');
    await broker?.close();
    bundles?.remove();
  });

  const send = async (round: string, count: number) => {
    const producer = await broker.producer();
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const records = Array.from({ length: count }, (_, i) => ({
        key: null,
        value: Buffer.from(JSON.stringify({ id: `${round}-${partition}-${i}`, text: i % 10 === 3 ? LONG : SHORT })),
        headers: [],
      }));
      await producer.send({ topic: topics.input, partition }, records);
    }
    await producer.stop();
  };
  const all = () => outputs.records.all.map(({ value }) => JSON.parse(String(value)) as EntityRecord);
  const arrived = (count: number) => outputs.until(({ records }) => records.all.length >= count);
  const reload = async () => {
    const response = await fetch(`${worker.url}/v1/reload`, { method: 'POST' });
    return { status: response.status, body: await response.json() };
  };
  const degraded = async () => {
    const text = await (await fetch(`${worker.url}/metrics`)).text();
    return /^mner_degraded\{reason="reload"\} (\d)$/m.exec(text)?.[1];
  };

  it('fault 31: reloads under load: nothing is lost, order holds, and no output mixes two versions', async ({
    task,
  }) => {
    const versions = new Set(['0.0.1']);
    for (let round = 0; round < ROUNDS; round++) {
      await send(`r${round}`, EACH);
      if (round === ROUNDS - 1) break;
      const version = `0.1.${round}`;
      bundles.release('ham-faulty', version);
      expect(await reload()).toEqual({ status: 200, body: { bundles: [`ham-faulty@${version}`] } });
      versions.add(version);
    }
    const sent = ROUNDS * EACH * PARTITIONS;
    await arrived(sent);
    const outputsSeen = all();
    expect(outputsSeen).toHaveLength(sent);
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const ids = outputsSeen.filter(({ source }) => source.partition === partition).map(({ tweet_id }) => tweet_id);
      const wanted = Array.from({ length: ROUNDS }, (_, round) =>
        Array.from({ length: EACH }, (_, i) => `r${round}-${partition}-${i}`),
      ).flat();
      expect(ids).toEqual(wanted);
    }
    // Every version names other types for the same words: one answer for each text and version, or two were mixed.
    const answers = new Map<string, string>();
    for (const { model, entities, text_length, windows } of outputsSeen) {
      expect(versions).toContain(model.version);
      if (text_length === LONG.length) expect(windows).toBeGreaterThan(1);
      const key = `${model.version}/${text_length}`;
      const answer = JSON.stringify(entities.map(({ type, start, end }) => [type, start, end]));
      expect(answers.get(key) ?? answer).toBe(answer);
      answers.set(key, answer);
    }
    const used = new Set(outputsSeen.map(({ model }) => model.version));
    expect(used.size).toBeGreaterThan(1);
    const ofLong = [...answers].filter(([key]) => key.endsWith(`/${LONG.length}`)).map(([, answer]) => answer);
    expect(new Set(ofLong).size).toBe(ofLong.length);
    seen(task, `${ROUNDS - 1} reloads, ${sent} of ${sent} outputs in order by ${used.size} versions, none mixed`);
  });

  it('fault 30: a corrupt bundle by SIGHUP: the worker goes on with the old one, and says so until it is mended', async () => {
    const before = all().length;
    const { version } = all().at(-1)!.model;
    bundles.release('ham-faulty', '9.0.0');
    bundles.corrupt('ham-faulty');
    process.kill(worker.pid, 'SIGHUP');
    while ((await degraded()) !== '1') await new Promise((resolve) => setTimeout(resolve, 20));
    expect(worker.log()).toContain('The new bundle was not taken; the old one goes on.');
    expect(await reload()).toMatchObject({ status: 409, body: { error: { code: 'bad_bundle' } } });
    await send('after', 5);
    await arrived(before + 5 * PARTITIONS);
    expect(all().at(-1)?.model.version).toBe(version);
    expect((await fetch(`${worker.url}/readyz`)).status).toBe(200);
    bundles.corrupt('ham-faulty');
    expect(await reload()).toEqual({ status: 200, body: { bundles: ['ham-faulty@9.0.0'] } });
    expect(await degraded()).toBe('0');
    expect(await (await fetch(`${worker.url}/info`)).json()).toMatchObject({
      model: { version: '9.0.0' },
      canary: null,
    });
    expect(await worker.stop()).toBe(0);
  });
});
