import { createHash, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type PictureServer, servePictures } from '#mner/local/picture-server.js';
import { freePorts } from '#mner/local/ports.js';
import { type EntityRecord, entityRecordSchema } from '#mner/ner/record.js';
import { headerText } from '#mner/stream/headers.js';
import { kafkaBroker } from '#mner/stream/kafka/broker.js';
import type { Broker, Headers, InputRecord } from '#mner/stream/port.js';
import { plain, RED } from '../image/pictures.js';
import { type Inbox, inbox } from '../stream/inbox.js';
import { seen } from '../support/seen.js';
import { BROKERS, NO_SERVERS, TINY_WITH_SERVERS } from '../support/servers.js';
import { startWorker, type WorkerProcess } from '../support/worker-process.js';

const PARTITIONS = 3;
const OUTPUT_PARTITIONS = 2;
const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';

/** Records that become dead letters: their row among the faults, their bytes, and the code that each must get. */
const REFUSED: readonly (readonly [row: number, what: string, code: string, value: Buffer])[] = [
  [22, 'malformed JSON', 'bad_json', Buffer.from('{"id":"1","text":"Kobe')],
  [22, 'no JSON at all', 'bad_json', Buffer.from('Kobe Bryant')],
  [22, 'nothing, not even null', 'bad_json', Buffer.alloc(0)],
  [22, 'broken UTF-8', 'bad_utf8', Buffer.concat([Buffer.from('{"id":"1","text":"'), Buffer.from([0xc3, 0x28, 0xff])])],
  [22, 'no text', 'no_text', tweet({ id: '1' })],
  [22, 'a text that is no string', 'no_text', tweet({ id: '1', text: 7 })],
  [22, 'no id', 'no_id', tweet({ text: 'Kobe Bryant' })],
  [23, '100,000 characters', 'text_too_long', tweet({ id: '1', text: 'Kobe '.repeat(20_000) })],
  [22, 'an unknown shape', 'unknown_shape', tweet({ user: { name: 'Kobe' } })],
  [22, 'a list of tweets', 'unknown_shape', tweet([{ id: '1', text: 'Kobe' }])],
  [24, 'a tweet inside __proto__', 'unknown_shape', Buffer.from('{"__proto__":{"id":"1","text":"Kobe Bryant"}}')],
  [
    24,
    '10,000-deep nesting',
    'too_deep',
    Buffer.from(`{"id":"1","text":"a","x":${'['.repeat(10_000)}${']'.repeat(10_000)}}`),
  ],
];

/** Each names somebody, so that there are spans to look at; a lone surrogate is as much a code point as any. */
const ODD_TEXTS: readonly (readonly [what: string, text: string])[] = [
  ['emoji', '🎉🎉 Kobe Bryant 👨‍👩‍👧‍👦 met 🏳️‍🌈 Serena Williams in 🇩🇪 Berlin 😹'],
  ['control characters', 'Kobe\u0000 Bryant\u0007 in\u001b[31m Los\u0085 Angeles\u007f, said\u0001 Serena Williams'],
  ['marks without width', '\u202eKobe\u200b Bryant\u200d in \ufeffLos\u00ad Angeles\u2066 with Serena\u0301 Williams'],
  ['half a surrogate pair', 'Kobe Bryant \ud83d in Los \udc00 Angeles with Serena Williams\ud800'],
  ['the longest text that a tweet may have', `${'Kobe Bryant in Los Angeles 🎉 '.repeat(860)}Kobe`],
];

describe.skipIf(NO_SERVERS)(`bad input, through Kafka and a worker${NO_SERVERS}`, () => {
  const run = randomUUID().slice(0, 8);
  const topics = { input: `in-${run}`, output: `out-${run}`, mentions: `mentions-${run}`, dead: `dead-${run}` };
  const boxes = { output: inbox(), mentions: inbox(), dead: inbox() };
  let broker: Broker;
  let origin: PictureServer;
  let deadHost: string;
  let worker: WorkerProcess;
  let next = 0;

  beforeAll(async () => {
    const jpeg = await plain(RED, 320, 240).jpeg().toBuffer();
    origin = await servePictures(
      new Map([
        ['/good.jpg', jpeg],
        ['/page.jpg', Buffer.from('<!doctype html><title>Log in</title>')],
        ['/cut.jpg', jpeg.subarray(0, jpeg.length / 2)],
      ]),
    );
    deadHost = `127.0.0.1:${(await freePorts(1))[0]}`;
    broker = kafkaBroker({ brokers: BROKERS.split(',') });
    await broker.connect();
    await broker.createTopics([
      { topic: topics.input, partitions: PARTITIONS },
      { topic: topics.output, partitions: OUTPUT_PARTITIONS },
      { topic: topics.mentions, partitions: OUTPUT_PARTITIONS },
      { topic: topics.dead, partitions: 1 },
    ]);
    [worker] = await Promise.all([
      startWorker({
        ...TINY_WITH_SERVERS,
        MNER_GROUP: `group-${run}`,
        MNER_INPUT_TOPIC: topics.input,
        MNER_OUTPUT_TOPIC: topics.output,
        MNER_MENTIONS_TOPIC: topics.mentions,
        MNER_DEAD_LETTER_TOPIC: topics.dead,
        MNER_IMAGE_ALLOW: `${origin.origin},${deadHost}`,
        MNER_IMAGE_BUDGET_MS: '60000',
        MNER_IMAGE_FETCH_TIMEOUT_MS: '20000',
      }),
      ...(['output', 'mentions', 'dead'] as const).map((name) =>
        broker.consumer({ topics: [topics[name]], group: `reader-${randomUUID()}` }).start(boxes[name]),
      ),
    ]);
  });

  afterAll(async () => {
    await worker?.stop();
    await broker?.close();
    await origin?.stop();
  });

  /** Sends a record and a good tweet behind it on the same partition; gives what became of the record once the tweet came out too. */
  async function send(
    value: Buffer | null,
    { key = Buffer.from(`key-${next}`), headers = [] }: { key?: Buffer | null; headers?: Headers } = {},
  ): Promise<{ partition: number; found: InputRecord; box: Inbox }> {
    const partition = next++ % PARTITIONS;
    const mark = randomUUID();
    const marked = [...headers, ['x-mark', Buffer.from(mark)]] as const;
    const canary = randomUUID();
    const producer = await broker.producer();
    await producer.send({ topic: topics.input, partition }, [
      { key, value, headers: marked },
      { key: null, value: tweet({ id: canary, text: 'Serena Williams in London' }), headers: [] },
    ]);
    await producer.stop();
    await boxes.output.until(({ records }) => records.all.some((one) => recordOf(one)?.tweet_id === canary));
    const isOurs = (one: InputRecord) => headerText(one.headers, 'x-mark') === mark;
    await Promise.race([
      boxes.output.until(({ records }) => records.all.some(isOurs)),
      boxes.dead.until(({ records }) => records.all.some(isOurs)),
    ]);
    const hits = [boxes.output, boxes.dead].flatMap((box) =>
      box.records.all.filter(isOurs).map((found) => ({ partition, found, box })),
    );
    expect(hits).toHaveLength(1);
    return hits[0] as (typeof hits)[0];
  }

  it.for(REFUSED)(
    'fault %i: %s is a dead letter with code %s, and the next tweet is processed',
    async ([, what, code, value], { task }) => {
      const key = Buffer.from([0, 1, 0xff]);
      const headers: Headers = [
        ['x-own', Buffer.from([0xde, 0xad])],
        ['x-own', Buffer.from('twice')],
        ['traceparent', Buffer.from(`00-${TRACE}-${SPAN}-01`)],
      ];
      const { partition, found, box } = await send(value, { key, headers });
      expect(box).toBe(boxes.dead);
      expect(found.value).toEqual(value);
      expect(found.key).toEqual(key);
      expect(found.headers.slice(0, 3)).toEqual(headers);
      const own = Object.fromEntries(
        found.headers.filter(([name]) => name.startsWith('mner-')).map(([name, bytes]) => [name, bytes.toString()]),
      );
      expect(own).toEqual({
        'mner-error-code': code,
        'mner-error-class': 'poison',
        'mner-error-message': expect.stringMatching(/^[A-Z][^\n]*\.$/),
        'mner-source-topic': topics.input,
        'mner-source-partition': String(partition),
        'mner-source-offset': expect.stringMatching(/^\d+$/),
        'mner-source-timestamp': expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
        'mner-attempts': '1',
      });
      // The text of a tweet never enters an error.
      expect(own['mner-error-message']).not.toMatch(/kobe/i);
      seen(task, `${what}: ${code}`);
    },
  );

  it('a record that was a dead letter before counts its attempts on', async () => {
    const { found } = await send(Buffer.from('{'), { headers: [['mner-attempts', Buffer.from('2')]] });
    expect(headerText(found.headers, 'mner-attempts')).toBe('3');
  });

  it('a dead letter that is too large loses its value, and says so', async () => {
    // Just what the input topic takes; with the headers of a dead letter it is too much for the other.
    const value = Buffer.alloc(1_048_250, 'x');
    const { found, box } = await send(value, { key: Buffer.from('large') });
    expect(box).toBe(boxes.dead);
    expect(headerText(found.headers, 'mner-error-code')).toBe('bad_json');
    expect(headerText(found.headers, 'mner-truncated')).toBe('true');
    expect(headerText(found.headers, 'mner-value-sha256')).toBe(createHash('sha256').update(value).digest('hex'));
    expect(found.value).toBeNull();
    expect(found.key).toEqual(Buffer.from('large'));
  });

  it('fault 23: a tombstone gives a tombstone', async ({ task }) => {
    const { found, box } = await send(null, { key: Buffer.from('gone') });
    expect(box).toBe(boxes.output);
    expect(found.value).toBeNull();
    expect(found.key).toEqual(Buffer.from('gone'));
    expect(headerText(found.headers, 'mner-schema')).toBe('tweet-entities/1');
    seen(task, 'tombstone: a tombstone');
  });

  it('fault 23: an empty text gives an output without entities', async ({ task }) => {
    const record = recordOf((await send(tweet({ id: 'empty', text: '' }))).found);
    expect(record).toMatchObject({ tweet_id: 'empty', text_length: 0, entities: [], image: { status: 'none' } });
    seen(task, 'empty text: no entities');
  });

  it.for(ODD_TEXTS)('fault 23: the spans of a text with %s are those of the input', async ([what, text], { task }) => {
    const record = recordOf((await send(tweet({ id: 'odd', text }))).found) as EntityRecord;
    expect(entityRecordSchema.safeParse(record).success).toBe(true);
    const points = [...text];
    expect(record.text_length).toBe(points.length);
    expect(record.entities.length).toBeGreaterThan(0);
    for (const entity of record.entities) {
      expect(text.slice(...entity.utf16)).toBe(entity.text);
      expect(points.slice(entity.start, entity.end).join('')).toBe(entity.text);
    }
    seen(task, `${what}: ${record.entities.length} spans exact`);
  });

  it('fault 24: __proto__ beside a tweet is data like any other', async ({ task }) => {
    const value = Buffer.from('{"__proto__":{"text":"no","id":"no"},"id":"proto","text":"Kobe Bryant"}');
    const record = recordOf((await send(value)).found);
    expect(record).toMatchObject({ tweet_id: 'proto', text_length: 11 });
    seen(task, '__proto__ beside a tweet: read as if it were not there');
  });

  it.each([
    ['works', 'used', () => photo(`http://${origin.origin}/good.jpg`)],
    ['is an HTML page', 'unreadable', () => photo(`http://${origin.origin}/page.jpg`)],
    ['is a truncated JPEG', 'unreadable', () => photo(`http://${origin.origin}/cut.jpg`)],
    ['is a 404', 'not_found', () => photo(`http://${origin.origin}/nowhere.jpg`)],
    ['is on a dead host', 'unreachable', () => photo(`http://${deadHost}/a.jpg`)],
    ['is on a private address', 'refused', () => photo('http://127.0.0.1:9/a.jpg')],
    ['is a file of the worker', 'refused', () => photo('file:///etc/passwd')],
    ['has no URL that is one', 'refused', () => photo('http://')],
    ['is base64 that is none', 'unreadable', () => ({ type: 'photo', data: '%%%' })],
    ['is base64 of no picture', 'unreadable', () => ({ type: 'photo', data: Buffer.from('hello').toString('base64') })],
    ['has words alone', 'none', () => ({ type: 'photo', alt_text: 'a red square' })],
  ])(
    'a picture that %s: image.status is %s, the text is read, and the next tweet is processed',
    async (_, status, media) => {
      const { found } = await send(tweet({ id: 'pictured', text: 'Kobe Bryant in Los Angeles', media: [media()] }));
      const record = recordOf(found) as EntityRecord;
      expect(entityRecordSchema.safeParse(record).success).toBe(true);
      expect(record.image.status).toBe(status);
      expect(record.image.relevance === null).toBe(status !== 'used');
      expect(record.entities.length).toBeGreaterThan(0);
    },
  );

  it('a picture inside the tweet is used', async () => {
    const data = (await plain(RED, 100, 100).png().toBuffer()).toString('base64');
    const record = recordOf((await send(tweet({ id: 'inline', text: 'A', media: [{ type: 'photo', data }] }))).found);
    expect(record?.image).toMatchObject({ status: 'used', relevance: expect.any(Number) });
  });

  it('passes the key and the headers on, continues the trace, and keeps to the partition', async () => {
    const key = Buffer.from([7, 0, 0xff]);
    const { partition, found } = await send(tweet({ id: 'headers', text: 'Kobe Bryant' }), {
      key,
      headers: [
        ['x-own', Buffer.from([0xde, 0xad])],
        ['mner-model', Buffer.from('of somebody else')],
        ['traceparent', Buffer.from(`00-${TRACE}-${SPAN}-01`)],
        ['x-own', Buffer.from('twice')],
      ],
    });
    expect(found.key).toEqual(key);
    expect(found.partition).toBe(partition % OUTPUT_PARTITIONS);
    const record = recordOf(found) as EntityRecord;
    expect(record.source).toMatchObject({ topic: topics.input, partition });
    expect(found.headers.filter(([name]) => name === 'x-own').map(([, bytes]) => bytes)).toEqual([
      Buffer.from([0xde, 0xad]),
      Buffer.from('twice'),
    ]);
    const trace = found.headers.filter(([name]) => name === 'traceparent').map(([, bytes]) => bytes.toString());
    expect(trace).toEqual([expect.stringMatching(new RegExp(`^00-${TRACE}-(?!${SPAN})[0-9a-f]{16}-01$`))]);
    const ours = found.headers.filter(([name]) => name.startsWith('mner-')).map(([name, bytes]) => [name, `${bytes}`]);
    expect(ours).toEqual([
      ['mner-schema', 'tweet-entities/1'],
      ['mner-model', `${record.model.bundle}@${record.model.version}`],
      ['mner-source', `${topics.input}/${partition}/${record.source.offset}`],
    ]);
  });

  it('keeps a null key null', async () => {
    const { partition, found } = await send(tweet({ id: 'null-key', text: 'Kobe Bryant' }), { key: null });
    expect(found.key).toBeNull();
    expect(found.partition).toBe(partition % OUTPUT_PARTITIONS);
  });

  it('writes one record per mention, keyed by the entity', async () => {
    const id = randomUUID();
    const record = recordOf((await send(tweet({ id, text: 'Kobe Bryant in Los Angeles' }))).found) as EntityRecord;
    expect(record.entities.length).toBeGreaterThan(0);
    const ours = () =>
      boxes.mentions.records.all
        .map((one) => ({ key: String(one.key), mention: JSON.parse(String(one.value)) }))
        .filter(({ mention }) => mention.tweet_id === id);
    await boxes.mentions.until(() => ours().length >= record.entities.length);
    expect(ours()).toEqual(
      record.entities.map((entity) => ({
        key: entity.key,
        mention: {
          schema: 'tweet-mention/1',
          tweet_id: id,
          ...entity,
          source: record.source,
          processed_at: record.processed_at,
        },
      })),
    );
  });

  it('counts what it did, and keeps the texts to itself', async () => {
    const metrics = await (await fetch(`${worker.url}/metrics`)).text();
    const dead: Record<string, number> = Object.fromEntries(
      [...metrics.matchAll(/^mner_dead_letters_total\{code="(\w+)"\} (\d+)/gm)].map(([, code, n]) => [code, Number(n)]),
    );
    for (const code of new Set(REFUSED.map(([, , code]) => code))) expect(dead[code]).toBeGreaterThan(0);
    expect(Object.values(dead).reduce((sum, n) => sum + n, 0)).toBe(boxes.dead.records.all.length);
    expect(`${metrics}${worker.log()}`).not.toMatch(/kobe|bryant|serena/i);
  });
});

function tweet(json: object): Buffer {
  return Buffer.from(JSON.stringify(json));
}

function photo(url: string): object {
  return { type: 'photo', url };
}

function recordOf({ value }: InputRecord): EntityRecord | undefined {
  return value === null ? undefined : (JSON.parse(value.toString()) as EntityRecord);
}
