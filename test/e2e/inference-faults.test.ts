import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EntityRecord } from '#mner/ner/record.js';
import { kafkaBroker } from '#mner/stream/kafka/broker.js';
import type { Broker } from '#mner/stream/port.js';
import { childrenOf } from '../cli/processes.js';
import { type Inbox, inbox } from '../stream/inbox.js';
import { seen } from '../support/seen.js';
import { BROKERS, FAULTY, NO_SERVERS, TINY_WITH_SERVERS } from '../support/servers.js';
import { mner, startWorker, type WorkerProcess } from '../support/worker-process.js';

const PARTITIONS = 2;
const TWEETS = 40;

describe.skipIf(NO_SERVERS)(`a real worker whose inference fails${NO_SERVERS}`, { timeout: 120_000 }, () => {
  const run = randomUUID().slice(0, 8);
  const topics = { input: `in-${run}`, output: `out-${run}`, dead: `dead-${run}` };
  let broker: Broker;
  let outputs: Inbox;
  const workers: WorkerProcess[] = [];
  const env = {
    ...TINY_WITH_SERVERS,
    ...FAULTY,
    MNER_REPEAT_CACHE_BYTES: '0',
    MNER_GROUP: `group-${run}`,
    MNER_INPUT_TOPIC: topics.input,
    MNER_OUTPUT_TOPIC: topics.output,
    MNER_DEAD_LETTER_TOPIC: topics.dead,
  };
  const start = async (more: Readonly<Record<string, string>>) => {
    const worker = await startWorker({ ...env, ...more });
    workers.push(worker);
    return worker;
  };

  beforeAll(async () => {
    broker = kafkaBroker({ brokers: BROKERS.split(',') });
    await broker.createTopics(Object.values(topics).map((topic) => ({ topic, partitions: PARTITIONS })));
    outputs = inbox();
    await broker.consumer({ topics: [topics.output], group: `reader-${run}` }).start(outputs);
  });
  afterAll(async () => {
    await Promise.all(workers.map((worker) => worker.stop('SIGKILL')));
    await broker?.close();
  });

  const send = async (name: string) => {
    const producer = await broker.producer();
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const records = Array.from({ length: TWEETS / PARTITIONS }, (_, i) => ({
        key: null,
        value: Buffer.from(JSON.stringify({ id: `${name}-${partition}-${i}`, text: 'Anna met Ben in Oslo' })),
        headers: [],
      }));
      await producer.send({ topic: topics.input, partition }, records);
    }
    await producer.stop();
  };
  const outputsOf = (name: string) =>
    outputs.records.all
      .map(({ value }) => JSON.parse(String(value)) as EntityRecord)
      .filter(({ tweet_id }) => tweet_id.startsWith(name));
  const metric = async ({ url }: WorkerProcess, name: string) => {
    const text = await (await fetch(`${url}/metrics`)).text();
    return Number(new RegExp(`^${name.replace(/[{}"]/g, '\\$&')} (\\S+)$`, 'm').exec(text)?.[1]);
  };

  it('fault 29: inference hangs for longer than a session: killed by the watchdog, and the consumer stays in its group', async ({
    task,
  }) => {
    const worker = await start({
      MNER_SESSION_TIMEOUT_MS: '6000',
      MNER_DRAIN_TIMEOUT_MS: '5000',
      MNER_INFERENCE_TIMEOUT_MS: '8000',
    });
    await send('before');
    await outputs.until(() => outputsOf('before').length === TWEETS);
    const rebalances = await metric(worker, 'mner_rebalances_total');
    const [child] = childrenOf(worker.pid) as [number];
    process.kill(child, 'SIGSTOP');
    const began = performance.now();
    await send('during');
    await outputs.until(() => outputsOf('during').length === TWEETS);
    const seconds = (performance.now() - began) / 1000;
    expect(seconds).toBeGreaterThan(8);
    expect(childrenOf(worker.pid)).not.toContain(child);
    expect(await metric(worker, 'mner_inference_restarts_total')).toBe(1);
    expect(await metric(worker, 'mner_rebalances_total')).toBe(rebalances);
    expect((await fetch(`${worker.url}/readyz`)).status).toBe(200);
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const ids = outputsOf('during').filter(({ source }) => source.partition === partition);
      expect(ids.map(({ tweet_id }) => tweet_id)).toEqual(
        Array.from({ length: TWEETS / PARTITIONS }, (_, i) => `during-${partition}-${i}`),
      );
    }
    seen(
      task,
      `hung for 8 s with sessions of 6 s, 0 rebalances, ${TWEETS} of ${TWEETS} outputs after ${seconds.toFixed(1)} s`,
    );
    expect(await worker.stop()).toBe(0);
  });

  it('fault 32: a provider that is missing, with `providers_fallback: next`: the next one runs, and everything says so', async ({
    task,
  }) => {
    const worker = await start({ MNER_PROVIDERS: 'cuda,cpu' });
    await send('fallback');
    await outputs.until(() => outputsOf('fallback').length === TWEETS);
    expect(new Set(outputsOf('fallback').map(({ model }) => model.provider))).toEqual(new Set(['cpu']));
    expect(await metric(worker, 'mner_degraded{reason="provider"}')).toBe(1);
    expect(await metric(worker, 'mner_model_info{bundle="ham-faulty",version="0.0.1",provider="cpu"}')).toBe(1);
    const info = await (await fetch(`${worker.url}/info`)).json();
    expect(info).toMatchObject({ model: { bundle: 'ham-faulty', provider: 'cpu' } });
    expect(worker.log()).toContain('The execution provider cuda cannot start; cpu runs instead.');
    expect(await worker.stop()).toBe(0);
    seen(task, 'cuda missing: cpu runs, degraded is 1, outputs and /info say cpu');
  });

  it('fault 32: a provider that is missing, with `providers_fallback: refuse`: the worker does not start, in one sentence', async () => {
    const ended = await mner(['run'], {
      env: { ...env, MNER_HTTP_PORT: '0', MNER_PROVIDERS: 'cuda,cpu', MNER_PROVIDERS_FALLBACK: 'refuse' },
    });
    expect(ended.code).toBe(3);
    const sentences = ended.stderr.split('\n').filter((line) => line !== '' && !line.startsWith('{'));
    expect(sentences).toEqual([
      expect.stringMatching(/^mner: No execution provider can start \(cuda: .*\)\. Install its driver, .*\.$/),
    ]);
  });
});
