import { afterAll, beforeAll, expect, it } from 'vitest';
import { systemClock } from '#mner/clock.js';
import { loadConfig } from '#mner/config/load.js';
import { memoryCache } from '#mner/image/cache/memory.js';
import { type MemoryOrigin, memoryOrigin } from '#mner/image/fetch/memory.js';
import { createLocalHost } from '#mner/inference/host-local.js';
import { loadModels } from '#mner/models.js';
import { type EntityRecord, entityRecordSchema } from '#mner/ner/record.js';
import { headerText } from '#mner/stream/headers.js';
import type { Outcome } from '#mner/stream/outcome.js';
import type { InputRecord } from '#mner/stream/port.js';
import type { Event } from '#mner/telemetry/events.js';
import { createTelemetry } from '#mner/telemetry/telemetry.js';
import { openStations, type Stations } from '#mner/worker.js';
import { plain, RED } from './image/pictures.js';
import { record } from './stream/records.js';
import { TINY } from './support/servers.js';

const { config } = loadConfig({
  env: { ...TINY, MNER_MENTIONS_TOPIC: 'tweet-mentions', MNER_IMAGE_BUDGET_MS: '60000' },
});
const events: Event[] = [];
let origin: MemoryOrigin;
let stations: Stations;

beforeAll(async () => {
  origin = memoryOrigin();
  origin.put('http://origin/a.jpg', await plain(RED).jpeg().toBuffer());
  const telemetry = createTelemetry({ log: { level: 'silent' }, nodeMetrics: false });
  const host = createLocalHost({ models: (await loadModels(config)).hosted, threads: 1 });
  const emit = (event: Event) => void events.push(event);
  stations = await openStations(config, { ...telemetry, emit }, { cache: memoryCache(), origin, host });
});
afterAll(() => stations?.stop());

async function outcomeOf(tweet: object | Buffer | null, change: Partial<InputRecord> = {}): Promise<Outcome> {
  const value = tweet === null || Buffer.isBuffer(tweet) ? tweet : Buffer.from(JSON.stringify(tweet));
  return stations.process(record(7, { value, ...change }), new AbortController().signal);
}

async function recordOf(tweet: object): Promise<EntityRecord> {
  const outcome = await outcomeOf(tweet);
  if (outcome.kind !== 'output') throw new Error(outcome.error.message);
  return entityRecordSchema.parse(JSON.parse(String(outcome.value)));
}

/** Holds what every span promises against the text as it came. */
function expectSpans(text: string, { entities, text_length }: EntityRecord): void {
  const points = [...text];
  expect(text_length).toBe(points.length);
  for (const entity of entities) {
    expect(text.slice(...entity.utf16)).toBe(entity.text);
    expect(points.slice(entity.start, entity.end).join('')).toBe(entity.text);
  }
}

it('passes on what came with the tweet, and says where it came from', async () => {
  const began = systemClock.wall();
  const tweet = { id: '12345678901234567890', text: 'Kobe Bryant in Los Angeles', lang: 'en', author_id: '42' };
  const found = await recordOf({ ...tweet, created_at: '2026-01-02T03:04:05.000Z' });
  expect(found).toMatchObject({
    schema: 'tweet-entities/1',
    tweet_id: '12345678901234567890',
    lang: 'en',
    author_id: '42',
    created_at: '2026-01-02T03:04:05.000Z',
    image: { status: 'none', relevance: null, cache: null },
    model: { family: 'ham', bundle: 'ham-tiny', version: '0.0.1', provider: 'cpu' },
    source: { topic: record(7).topic, partition: record(7).partition, offset: '7' },
  });
  expect(Date.parse(found.processed_at)).toBeGreaterThanOrEqual(began - 1);
  expect(found.entities.length).toBeGreaterThan(0);
  expectSpans(tweet.text, found);
});

it.each([
  ['emoji before the entities', '🏀🏀 Kobe Bryant in Los Angeles 👨‍👩‍👧'],
  ['escaped signs', 'Kobe &amp; Bryant &lt;3 Los Angeles &gt; New York'],
  ['combining marks and other scripts', 'Beyonce\u0301 in 東京 とЛондон مرحبا'],
  ['control characters', 'Kobe\u0000Bryant\u0007 in\tLos\r\nAngeles\u200b'],
  ['a lone surrogate', 'Kobe \ud83c Bryant'],
  ['text longer than a window', `Kobe Bryant ${'met Serena Williams in London '.repeat(120)}`],
])('places spans exactly with %s', async (_what, text) => {
  expectSpans(text, await recordOf({ id: '1', text }));
});

it('says in how many windows a long text was read', async () => {
  expect((await recordOf({ id: '1', text: 'met Serena Williams in London '.repeat(200) })).windows).toBeGreaterThan(1);
  expect(await recordOf({ id: '1', text: 'Kobe' })).not.toHaveProperty('windows');
});

it('reads of version 1.1 only what is displayed, with offsets into the whole', async () => {
  const text = '@friend Kobe Bryant in Los Angeles https://t.co/abc';
  const found = await recordOf({ id_str: '1', full_text: text, display_text_range: [8, 34] });
  expectSpans(text, found);
  for (const { start, end } of found.entities) {
    expect(start).toBeGreaterThanOrEqual(8);
    expect(end).toBeLessThanOrEqual(34);
  }
});

it('reads a retweet as its original', async () => {
  const found = await recordOf({
    id_str: '2',
    full_text: 'RT @kobe: Kobe Bryant in Los…',
    retweeted_status: { id_str: '1', full_text: 'Kobe Bryant in Los Angeles' },
  });
  expect(found).toMatchObject({ tweet_id: '2', retweet_of: '1', text_length: 26 });
});

it('uses the first usable photo, once from the origin and then from the cache', async () => {
  const media = [
    { type: 'video', url: 'http://origin/v.mp4' },
    { type: 'photo', url: 'http://origin/a.jpg' },
  ];
  const [first, second] = [
    await recordOf({ id: '1', text: 'Kobe', media }),
    await recordOf({ id: '2', text: 'Kobe', media }),
  ];
  expect(first.image).toMatchObject({ status: 'used', cache: 'miss', relevance: expect.any(Number) });
  expect(second.image).toEqual({ ...first.image, cache: 'hit' });
  expect(origin.requests).toEqual(['http://origin/a.jpg']);
});

it('gives the text alone when the picture cannot be had', async () => {
  const media = [{ type: 'photo', url: 'http://origin/nowhere.jpg' }];
  const [without, plainText] = [
    await recordOf({ id: '1', text: 'Kobe Bryant in Los Angeles', media }),
    await recordOf({ id: '1', text: 'Kobe Bryant in Los Angeles' }),
  ];
  expect(without.image).toEqual({ status: 'not_found', relevance: null, cache: 'miss' });
  expect(without.entities).toEqual(plainText.entities);
});

it('makes poison a dead letter with its code', async () => {
  const outcome = await outcomeOf(Buffer.from('{"id":"1"}'));
  expect(outcome).toMatchObject({ kind: 'dead_letter', error: { code: 'no_text', class: 'poison' } });
});

it('makes a tombstone a tombstone, with headers of ours', async () => {
  const outcome = await outcomeOf(null, { headers: [['x-own', Buffer.from('1')]] });
  if (outcome.kind !== 'output') throw outcome.error;
  expect(outcome.value).toBeNull();
  expect(outcome.headers.map(([name]) => name)).toEqual(['x-own', 'mner-schema', 'mner-model', 'mner-source']);
});

it('continues a trace that is one, and drops a header that is none', async () => {
  const trace = (value: string) =>
    outcomeOf({ id: '1', text: '' }, { headers: [['traceparent', Buffer.from(value)]] }).then((outcome) =>
      outcome.kind === 'output' ? headerText(outcome.headers, 'traceparent') : null,
    );
  const id = '4bf92f3577b34da6a3ce929d0e0e4736';
  expect(await trace(`00-${id}-00f067aa0ba902b7-01`)).toMatch(new RegExp(`^00-${id}-[0-9a-f]{16}-01$`));
  expect(await trace('nonsense')).toBeUndefined();
});

it('gives each mention a record of its own, keyed by its entity', async () => {
  const outcome = await outcomeOf({ id: '1', text: 'Kobe Bryant in Los Angeles' });
  if (outcome.kind !== 'output') throw outcome.error;
  const { entities, source, processed_at } = JSON.parse(String(outcome.value)) as EntityRecord;
  expect(entities.length).toBeGreaterThan(0);
  for (const { headers } of outcome.mentions ?? []) expect(headerText(headers, 'mner-schema')).toBe('tweet-mention/1');
  expect(outcome.mentions?.map(({ key, value }) => [String(key), JSON.parse(String(value))])).toEqual(
    entities.map((entity) => [
      entity.key,
      { schema: 'tweet-mention/1', tweet_id: '1', ...entity, source, processed_at },
    ]),
  );
});

it('reads a repeated text once, and places it in each tweet where it stands there', async () => {
  events.length = 0;
  const found = await Promise.all([
    recordOf({ id: '1', text: 'Serena Williams in Wimbledon' }),
    recordOf({ id: '2', text: '  Serena   Williams\nin Wimbledon' }),
  ]);
  const later = await recordOf({ id: '3', text: 'Serena Williams in Wimbledon' });
  expect(events.filter(({ type }) => type === 'repeat' || type === 'batch').map((event) => event.type)).toEqual([
    'repeat',
    'repeat',
    'batch',
    'repeat',
  ]);
  expectSpans('Serena Williams in Wimbledon', found[0]!);
  expectSpans('  Serena   Williams\nin Wimbledon', found[1]!);
  expect(later.entities).toEqual(found[0]!.entities);
  expect(later.tweet_id).toBe('3');
});

it('a tweet whose partition is lost while its text is being read does not take the reading from another', async () => {
  events.length = 0;
  const value = Buffer.from(JSON.stringify({ id: '1', text: 'Roger Federer in Basel' }));
  const lost = new AbortController();
  const [first, second] = [lost, new AbortController()].map(({ signal }, partition) =>
    stations.process(record(7, { value, partition }), signal),
  );
  const computing = () => events.filter((event) => event.type === 'repeat').length === 2;
  while (!computing()) await new Promise((resolve) => setImmediate(resolve));
  lost.abort(new Error('revoked'));
  // Its lane is closed and will drop what it gets.
  expect(await first).toMatchObject({ kind: 'output' });
  expect(await second).toMatchObject({ kind: 'output' });
  expect(events.filter(({ type }) => type === 'batch')).toHaveLength(1);
  const late = new AbortController();
  late.abort(new Error('revoked'));
  await expect(stations.process(record(8, { value }), late.signal)).rejects.toThrow('revoked');
});

it('tells of each station, and never of a text', async () => {
  events.length = 0;
  await recordOf({ id: '1', text: 'Kobe Bryant again', media: [{ type: 'photo', url: 'http://origin/b.jpg' }] });
  const stages = new Set(events.flatMap((event) => (event.type === 'stage' ? [event.stage] : [])));
  expect([...stages].sort()).toEqual(['cache_get', 'crf', 'fetch', 'inference', 'parse', 'queue', 'tokenize']);
  expect(JSON.stringify(events, (_, value) => (typeof value === 'bigint' ? String(value) : value))).not.toMatch(
    /kobe/i,
  );
});

it("throws what is the fault of nobody's record, so that its lane can wait or the worker end", async () => {
  const telemetry = createTelemetry({ log: { level: 'silent' }, nodeMetrics: false });
  const host = createLocalHost({ models: (await loadModels(config)).hosted, threads: 1 });
  const other = await openStations(config, telemetry, { cache: memoryCache(), origin: memoryOrigin(), host });
  await host.stop();
  const value = Buffer.from('{"id":"1","text":"Kobe Bryant"}');
  await expect(other.process(record(1, { value }), new AbortController().signal)).rejects.toMatchObject({
    code: 'inference_unavailable',
  });
  await other.stop();
});
