import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { manualClock } from '#mner/clock.js';
import { loadConfig } from '#mner/config/load.js';
import type { Config } from '#mner/config/schema.js';
import { MnerError } from '#mner/errors.js';
import { memoryCache } from '#mner/image/cache/memory.js';
import { memoryOrigin } from '#mner/image/fetch/memory.js';
import { createLocalHost } from '#mner/inference/host-local.js';
import type { InferenceHost } from '#mner/inference/port.js';
import { loadModels } from '#mner/models.js';
import type { EntityRecord } from '#mner/ner/record.js';
import { type MemoryBroker, type MemoryBrokerOptions, memoryBroker } from '#mner/stream/memory.js';
import type { Emit, Event } from '#mner/telemetry/events.js';
import { createTelemetry } from '#mner/telemetry/telemetry.js';
import { type Adapters, startWorker, type Worker } from '#mner/worker.js';
import { plain, RED } from './image/pictures.js';
import { TINY } from './support/servers.js';

const config: Config = loadConfig({ env: { ...TINY, MNER_DRAIN_TIMEOUT_MS: '5000' } }).config;
const TOPICS = [config.input_topic, config.output_topic, config.dead_letter_topic];
const workers: Worker[] = [];
afterEach(async () => {
  for (const worker of workers.splice(0)) await worker.stop().catch(() => {});
});

/** A worker on the in-memory adapters, with the real models in this process. */
async function start({
  settings = config,
  wire = {},
  topics = TOPICS,
  emit,
  ...adapters
}: {
  settings?: Config;
  wire?: MemoryBrokerOptions['wire'];
  topics?: readonly string[];
  emit?: Emit;
} & Adapters = {}) {
  const broker = memoryBroker({ wire });
  await broker.createTopics(topics.map((topic) => ({ topic, partitions: 2 })));
  const telemetry = createTelemetry({ log: { level: 'silent' }, nodeMetrics: false });
  const origin = memoryOrigin();
  const host = createLocalHost({ models: (await loadModels(settings)).hosted, threads: 1 });
  const starting = startWorker(settings, emit ? { ...telemetry, emit } : telemetry, {
    broker,
    cache: memoryCache(),
    origin,
    host,
    ...adapters,
  });
  starting.then((worker) => workers.push(worker)).catch(() => {});
  return { broker, telemetry, origin, starting };
}

/** Puts a tweet into the input topic; gives the record that comes out of it. */
function through(broker: MemoryBroker, tweet: object): Promise<EntityRecord> {
  return new Promise((resolve) => {
    const before = broker.read(config.output_topic).length;
    const stop = broker.onAppend(config.output_topic, () => {
      stop();
      resolve(JSON.parse(String(broker.read(config.output_topic)[before]?.value)) as EntityRecord);
    });
    broker.append(config.input_topic, { value: Buffer.from(JSON.stringify(tweet)) });
  });
}

it('is ready once it has joined, unready from the moment that it drains, and stops twice', async () => {
  const { broker, telemetry, starting } = await start();
  expect(telemetry.health.ready().ok).toBe(false);
  const worker = await starting;
  expect(telemetry.health.ready()).toEqual({ ok: true, reasons: [] });
  expect(await through(broker, { id: '1', text: 'Kobe Bryant' })).toMatchObject({ tweet_id: '1' });
  const stopping = worker.stop();
  expect(telemetry.health.ready()).toEqual({
    ok: false,
    reasons: expect.arrayContaining(['The worker is draining.']),
  });
  await stopping;
  await worker.stop();
  const [first] = await broker.offsets(config.input_topic, config.group);
  expect(first?.committed).toBe(1n);
});

it('delivers exactly once where that is asked for: outcome and offset together', async () => {
  const { broker, starting } = await start({ settings: { ...config, delivery: 'exactly_once', commit_every_ms: 10 } });
  await starting;
  const committed = async () => (await broker.offsets(config.input_topic, config.group))[0]?.committed;
  expect(await through(broker, { id: '1', text: 'Kobe Bryant' })).toMatchObject({ tweet_id: '1' });
  // The broker writes both in one step, and nobody else has committed since.
  expect(await committed()).toBe(1n);
});

it.each(['at_least_once', 'exactly_once'] as const)(
  'puts off a tweet whose picture cannot be had for now, and reads it as text the last time (%s)',
  async (delivery) => {
    const retry = {
      retry_topic: 'tweets.retry',
      retry_delay_ms: 100,
      retry_attempts: 3,
      image_missing: 'retry',
    } as const;
    const { broker, origin, starting } = await start({
      settings: { ...config, ...retry, delivery, commit_every_ms: 10 },
      topics: [...TOPICS, 'tweets.retry'],
    });
    origin.put('http://origin/away.jpg', 'unreachable');
    await starting;
    broker.append(config.input_topic, { partition: 1, value: Buffer.from('{"id":"0","text":"first"}') });
    const tweet = { id: '1', text: 'Kobe Bryant', media: [{ type: 'photo', url: 'http://origin/away.jpg' }] };
    const out: EntityRecord[] = [];
    const came = new Promise<void>((resolve) => {
      broker.onAppend(config.output_topic, (records) => {
        out.push(...records.map(({ value }) => JSON.parse(String(value)) as EntityRecord));
        if (out.length === 2) resolve();
      });
    });
    broker.append(config.input_topic, {
      partition: 1,
      value: Buffer.from(JSON.stringify(tweet)),
      headers: [['a', Buffer.from('1')]],
    });
    await came;
    expect(out.map(({ tweet_id }) => tweet_id)).toEqual(['0', '1']);
    expect(out[1]).toMatchObject({
      image: { status: 'unreachable' },
      source: { topic: config.input_topic, partition: 1, offset: '1' },
    });
    expect(broker.read('tweets.retry')).toHaveLength(2);
    expect(broker.read(config.dead_letter_topic)).toEqual([]);
    const headers = broker
      .read(config.output_topic)
      .at(-1)
      ?.headers.map(([name, value]) => `${name}=${value}`);
    expect(headers).toEqual([
      'a=1',
      'mner-schema=tweet-entities/1',
      expect.stringMatching(/^mner-model=/),
      `mner-source=${config.input_topic}/1/1`,
    ]);
  },
);

it('sheds pictures before tweets by default: more pictures are in process at once than may wait', async () => {
  // As many as two lanes have in process at once.
  const TWEETS = 1024;
  const looks: Record<string, number> = {};
  let news = () => {};
  const emit = (event: Event) => {
    if (event.type !== 'image') return;
    looks[event.status] = (looks[event.status] ?? 0) + 1;
    news();
  };
  const settings = { ...config, image_budget_ms: 120_000 };
  const { broker, origin, starting } = await start({ settings, emit });
  const until = (met: () => boolean) =>
    new Promise<void>((resolve) => {
      news = () => met() && resolve();
      news();
    });
  await starting;
  for (let id = 0; id < TWEETS; id += 1) {
    const url = `http://origin/${id}.jpg`;
    origin.put(url, 'silent');
    const tweet = { id: `${id}`, text: 'Kobe Bryant', media: [{ type: 'photo', url }] };
    broker.append(config.input_topic, { partition: id % 2, value: Buffer.from(JSON.stringify(tweet)) });
  }
  // 32 are fetched at once.
  const held = 32 + settings.image_waiting;
  await until(() => looks.skipped === TWEETS - held);
  expect(looks).toEqual({ skipped: TWEETS - held });
  await origin.stop();
  await until(() => looks.unreachable === held);
  expect(looks).toEqual({ skipped: TWEETS - held, unreachable: held });
});

it('shows what runs, secrets hidden', async () => {
  const settings = { ...config, redis_url: 'redis://:hunter2@cache:6379' };
  const { starting } = await start({ settings });
  const info = JSON.stringify((await starting).info());
  expect(JSON.parse(info)).toMatchObject({
    model: { family: 'ham', bundle: 'ham-tiny', version: '0.0.1', provider: 'cpu' },
    vision: '0.0.1',
    config: { input_topic: config.input_topic },
  });
  expect(info).not.toContain('hunter2');
});

describe('the words in pictures', { timeout: 90_000 }, () => {
  const slow = { image_budget_ms: 60_000, image_ocr_timeout_ms: 50_000 };
  let asking: string;
  beforeAll(async () => {
    asking = await mkdtemp(join(tmpdir(), 'mner-models-'));
    await cp(config.models_dir, asking, { recursive: true });
    const path = join(asking, 'ham-tiny', 'manifest.json');
    const manifest = JSON.parse(await readFile(path, 'utf8')) as object;
    await writeFile(path, JSON.stringify({ ...manifest, context: { sources: ['words'] } }));
  });
  afterAll(() => rm(asking, { recursive: true }));

  it.each([
    ['are not read by default, though the bundle asks', 'off', true, false, undefined],
    ['are read when the bundle asks and `ocr` is `on`', 'on', true, false, ''],
    ['are not read when the bundle does not ask', 'on', false, false, undefined],
    ['are read for `mner image`, whatever the bundle asks', 'on', false, true, ''],
    ['are not read for `mner image` while `ocr` is `off`', 'off', false, true, undefined],
  ] as const)('%s', async (_what, ocr, asks, anyWords, words) => {
    const settings: Config = { ...config, ...slow, ocr, models_dir: asks ? asking : config.models_dir };
    const { starting } = await start({ settings, anyWords });
    const { images } = (await starting).stations;
    const data = (await plain(RED).png().toBuffer()).toString('base64');
    const look = await images.look({ data }, new AbortController().signal);
    expect(look.status === 'used' ? look.features.words : look.status).toBe(words);
  });
});

it.each([
  ['one topic', TOPICS.slice(0, 2), 'The topic tweets.dead does not exist.'],
  ['two topics', TOPICS.slice(2), 'The topics tweets, tweet-entities do not exist.'],
])('does not start without %s', async (_what, topics, message) => {
  const { starting } = await start({ topics });
  await expect(starting).rejects.toMatchObject({ code: 'topic_missing', message });
});

it('does not start without its mentions topic either', async () => {
  const { starting } = await start({ settings: { ...config, mentions_topic: 'tweet-mentions' } });
  await expect(starting).rejects.toMatchObject({
    code: 'topic_missing',
    message: expect.stringContaining('tweet-mentions'),
  });
});

it('fails with the reason when the output is refused for good: not alive, nothing committed', async () => {
  const refusal = new MnerError('not_authorised', 'The broker refuses to let this user write to tweet-entities.');
  const wire = {
    send: ({ topic }: { topic: string }) => {
      if (topic === config.output_topic) throw refusal;
    },
  };
  const { broker, telemetry, starting } = await start({ wire });
  const worker = await starting;
  broker.append(config.input_topic, { value: Buffer.from('{"id":"1","text":"Kobe Bryant"}') });
  await expect(worker.failed).rejects.toBe(refusal);
  expect(telemetry.health.live()).toEqual({ ok: false, reasons: [refusal.message] });
  await worker.stop();
  for (const { committed } of await broker.offsets(config.input_topic, config.group)) expect(committed ?? 0n).toBe(0n);
});

it('says so when the drain takes longer than it may: a batch that the model has cannot be called back', async () => {
  const clock = manualClock();
  let [ready, running, release] = [false, () => {}, () => {}];
  const runs = new Promise<void>((resolve) => {
    running = resolve;
  });
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const local = createLocalHost({ models: (await loadModels(config)).hosted, threads: 1 });
  const host: InferenceHost = {
    ...local,
    provider: 'cpu',
    async run(model, feeds) {
      // The self-test comes before the worker is ready.
      if (ready) {
        running();
        await released;
      }
      return local.run(model, feeds);
    },
  };
  // The batch is due at once.
  const emit = (event: Event) => {
    if (event.type === 'queued' && event.tweets > 0) setImmediate(() => clock.advance(config.batch_deadline_ms));
  };
  const { broker, starting } = await start({ clock, host, emit });
  const worker = await starting;
  ready = true;
  broker.append(config.input_topic, { value: Buffer.from(JSON.stringify({ id: '1', text: 'Kobe' })) });
  await runs;
  const stopping = worker.stop();
  clock.advance(config.drain_timeout_ms);
  release();
  await expect(stopping).rejects.toMatchObject({
    code: 'drain_timed_out',
    message: expect.stringMatching(/^1 records? /),
  });
});

it('lets go of a tweet that no batch has yet when half of the drain is over, and leaves it to the next worker', async () => {
  const clock = manualClock();
  const settings = { ...config, retry_topic: 'tweets.retry', image_missing: 'retry' } as const;
  const { broker, origin, starting } = await start({ clock, settings, topics: [...TOPICS, 'tweets.retry'] });
  const worker = await starting;
  origin.put('http://origin/silent.jpg', 'silent');
  const asked = new Promise<void>((resolve) => {
    const watch = setInterval(() => {
      if (origin.requests.length === 0) return;
      clearInterval(watch);
      resolve();
    }, 5);
  });
  const media = [{ type: 'photo', url: 'http://origin/silent.jpg' }];
  broker.append(config.input_topic, { value: Buffer.from(JSON.stringify({ id: '1', text: 'Kobe', media })) });
  await asked;
  const stopping = worker.stop();
  clock.advance(config.drain_timeout_ms / 2);
  await stopping;
  // That its picture did not come in time is nobody's verdict: it is not put off, nor read as text.
  for (const topic of [config.output_topic, config.dead_letter_topic, 'tweets.retry'])
    expect(broker.read(topic)).toEqual([]);
  for (const { committed } of await broker.offsets(config.input_topic, config.group)) expect(committed ?? 0n).toBe(0n);
});

it('a full queue pauses partitions by bytes: rows that wait are bounded by the length of their texts, and the rest stays as it came', async () => {
  const events: Event[] = [];
  let open = () => {};
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  let held = false;
  const local = createLocalHost({ models: (await loadModels(config)).hosted, threads: 1 });
  const host: InferenceHost = {
    start: () => local.start(),
    provider: 'cpu',
    run: async (model, feeds) => {
      if (held) await gate;
      return local.run(model, feeds);
    },
    stop: () => local.stop(),
  };
  // Words that are one piece each, and a text that is one row.
  const text = `${'x'.repeat(120)} `.repeat(202);
  const settings = { ...config, inflight_bytes: 1024 * 1024, repeat_cache_bytes: 0 };
  let paused = () => {};
  const full = new Promise<void>((resolve) => {
    paused = resolve;
  });
  const { broker, starting } = await start({
    settings,
    host,
    emit: (event) => {
      events.push(event);
      if (event.type === 'paused' && event.partitions > 0) paused();
    },
  });
  await starting;
  held = true;
  for (let i = 0; i < 100; i++)
    broker.append(config.input_topic, {
      partition: i % 2,
      value: Buffer.from(JSON.stringify({ id: String(i), text })),
    });
  await full;
  // What is in process goes as far as it can.
  for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setImmediate(resolve));
  const encoded = () => events.filter((event) => event.type === 'stage' && event.stage === 'tokenize').length;
  const bytes = () => Math.max(...events.map((event) => (event.type === 'inflight' ? event.bytes : 0)));
  // 21 texts of 24,442 characters have room; the others are still the records that they came as, and some 40 of those are a MiB.
  expect(encoded()).toBe(21);
  expect(bytes()).toBeGreaterThan(1024 * 1024);
  const out = new Promise<void>((resolve) => {
    const stop = broker.onAppend(config.output_topic, () => {
      if (broker.read(config.output_topic).length < 100) return;
      stop();
      resolve();
    });
  });
  open();
  await out;
  expect(encoded()).toBe(100);
  // One fetch beyond the mark, at most.
  expect(bytes()).toBeLessThan(4 * 1024 * 1024);
});

it('keeps pictures for as long as cache_ttl_seconds says', async () => {
  const clock = manualClock();
  const settings = { ...config, cache_ttl_seconds: 60, image_budget_ms: 60_000 };
  const { broker, origin, starting } = await start({ settings, cache: memoryCache({ clock }) });
  await starting;
  origin.put('http://origin/a.jpg', await plain(RED).jpeg().toBuffer());
  const tweet = { id: '1', text: 'Kobe', media: [{ type: 'photo', url: 'http://origin/a.jpg' }] };
  expect((await through(broker, tweet)).image).toMatchObject({ status: 'used', cache: 'miss' });
  clock.advance(50_000);
  expect((await through(broker, tweet)).image).toMatchObject({ status: 'used', cache: 'hit' });
  clock.advance(60_000);
  expect((await through(broker, tweet)).image).toMatchObject({ status: 'used', cache: 'miss' });
  expect(origin.requests).toHaveLength(2);
});
