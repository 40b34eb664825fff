import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EntityRecord } from '#mner/ner/record.js';
import { kafkaBroker } from '#mner/stream/kafka/broker.js';
import type { Broker } from '#mner/stream/port.js';
import { inbox } from '../stream/inbox.js';
import { BROKERS, NO_SERVERS } from '../support/servers.js';
import { mner } from '../support/worker-process.js';
import { spawnMner } from './spawn.js';

// One file for the three commands that speak to topics: each goes on with what the one before has made.
describe.skipIf(NO_SERVERS)(`topics, produce, tail${NO_SERVERS}`, () => {
  const run = randomUUID().slice(0, 8);
  const env = {
    MNER_BROKERS: BROKERS,
    MNER_INPUT_TOPIC: `in-${run}`,
    MNER_OUTPUT_TOPIC: `out-${run}`,
    MNER_DEAD_LETTER_TOPIC: `dead-${run}`,
    MNER_MENTIONS_TOPIC: `mentions-${run}`,
  };
  const names = [env.MNER_INPUT_TOPIC, env.MNER_OUTPUT_TOPIC, env.MNER_DEAD_LETTER_TOPIC, env.MNER_MENTIONS_TOPIC];
  let broker: Broker;
  beforeAll(() => {
    broker = kafkaBroker({ brokers: BROKERS.split(',') });
  });
  afterAll(() => broker?.close());

  it('topics names what is missing, with an exit code', async () => {
    const { code, stdout, stderr } = await mner(['topics', '--json'], { env });
    expect(code).toBe(4);
    expect(JSON.parse(stdout)).toEqual(
      ['input', 'output', 'dead letters', 'mentions'].map((use, i) => ({
        topic: names[i],
        use,
        partitions: 0,
        state: 'missing',
      })),
    );
    expect(stderr).toBe(`mner: Missing: ${names.join(', ')}. Create what is missing: \`mner topics --create\`.\n`);
  });

  it('topics --create makes them, and leaves them alone the second time', async () => {
    const first = await mner(['topics', '--create', '--partitions', '3', '--json'], { env });
    expect([first.code, first.stderr]).toEqual([0, '']);
    expect(JSON.parse(first.stdout)).toEqual(
      names.map((topic) => expect.objectContaining({ topic, partitions: 3, state: 'created' })),
    );
    const second = await mner(['topics', '--create', '--partitions', '7'], { env });
    expect(second.code).toBe(0);
    expect(second.stdout).toMatch(/^TOPIC +USE +PARTITIONS +STATE\n/);
    for (const topic of names) expect(second.stdout).toMatch(new RegExp(`^${topic} .* 3 +there$`, 'm'));
  });

  it('produce sends each line as it is, bad ones too, the id as the key', async () => {
    const lines = [
      ...Array.from({ length: 1200 }, (_, i) => JSON.stringify({ id: `t${i}`, text: 'Kobe' })),
      '{"no": "tweet"}',
      'nonsense',
      '{"id":"t0","text":"again"}',
    ];
    const input = Buffer.from(`${lines.slice(0, 600).join('\n')}\n\n${lines.slice(600).join('\r\n')}`);
    const arrived = inbox();
    await broker.consumer({ topics: [env.MNER_INPUT_TOPIC], group: `reader-${run}` }).start(arrived);
    const { code, stdout, stderr } = await mner(['produce', '-'], { env, input });
    expect([code, stdout, stderr]).toEqual([0, '', `${lines.length} tweets sent to ${env.MNER_INPUT_TOPIC}.\n`]);
    await arrived.until(({ records }) => records.all.length >= lines.length);
    const records = arrived.records.all;
    expect(records.map(({ value }) => String(value)).sort()).toEqual([...lines].sort());
    expect(records.find(({ value }) => String(value) === lines[7])?.key).toEqual(Buffer.from('t7'));
    expect(records.find(({ value }) => String(value) === 'nonsense')?.key).toBeNull();
    const first = records.filter(({ key }) => String(key) === 't0');
    expect(first.map(({ value }) => JSON.parse(String(value)).text)).toEqual(['Kobe', 'again']);
    expect(new Set(first.map(({ partition }) => partition)).size).toBe(1);
    expect(new Set(records.map(({ partition }) => partition))).toEqual(new Set([0, 1, 2]));
  });

  it('produce --rate takes its time', async () => {
    const input = Array.from({ length: 60 }, (_, i) => JSON.stringify({ id: `r${i}`, text: 'Kobe' })).join('\n');
    const producing = spawnMner(['produce', '-', '--rate', '30'], env);
    producing.write(input);
    producing.closeInput();
    const began = performance.now();
    expect(await producing.ended).toBe(0);
    // The last of sixty at thirty a second goes out after two seconds.
    expect(performance.now() - began).toBeGreaterThan(1_900);
    expect(producing.stderr()).toContain('60 tweets sent');
  });

  it('produce says in one sentence what it cannot use', async () => {
    const [file, topic] = await Promise.all([
      mner(['produce', 'nowhere.ndjson'], { env }),
      mner(['produce', '-'], { env: { ...env, MNER_INPUT_TOPIC: 'nowhere' } }),
    ]);
    expect(file).toEqual({ code: 2, stdout: '', stderr: 'mner: The file nowhere.ndjson cannot be read.\n' });
    expect(topic.code).toBe(4);
    expect(topic.stderr).toMatch(/^mner: The input topic nowhere does not exist\. Create what is missing: .*\n$/);
  });

  it('tail prints what comes, and stops after --max; --json prints the records as they are', async () => {
    const record = (i: number): EntityRecord => ({
      schema: 'tweet-entities/1',
      tweet_id: `t${i}`,
      text_length: 11,
      entities: [
        {
          type: 'PER',
          text: 'Kobe Bryant',
          start: 0,
          end: 11,
          utf16: [0, 11],
          confidence: 0.9,
          key: 'per:kobe bryant',
        },
      ],
      image: { status: 'used', relevance: 0.8, cache: 'hit' },
      model: { family: 'ham', bundle: 'ham-tiny', version: '0.0.1', provider: 'cpu' },
      source: { topic: env.MNER_INPUT_TOPIC, partition: 0, offset: String(i), timestamp: '2026-01-01T00:00:00.000Z' },
      processed_at: '2026-01-01T00:00:00.000Z',
    });
    const producer = await broker.producer();
    const send = (...values: (Buffer | null)[]) =>
      producer.send(
        { topic: env.MNER_OUTPUT_TOPIC, partition: 0 },
        values.map((value) => ({ key: Buffer.from('k'), value, headers: [] })),
      );
    const bytes = (i: number) => Buffer.from(JSON.stringify(record(i)));
    // A tombstone has nothing to show, and what a stranger has written must not end it.
    await send(bytes(0), null, Buffer.from('no JSON'), Buffer.from('{"schema":"other"}'), bytes(2));

    const people = spawnMner(['tail', '--max', '2'], env);
    await people.says('Reading');
    let over = false;
    void people.ended.then(() => {
      over = true;
    });
    // "The end" is where the first fetch finds it, a moment after the join: so until it has seen two.
    while (!over) await send(bytes(1));
    expect(await people.ended).toBe(0);
    expect(people.stdout()).toBe('t1  PER Kobe Bryant 0.90  (picture used, relevance 0.80, cache hit)\n'.repeat(2));

    const all = await mner(['tail', '--from-beginning', '--max', '2', '--json'], { env });
    expect([all.code, all.stdout]).toEqual([0, `${JSON.stringify(record(0))}\n${JSON.stringify(record(2))}\n`]);
    expect(all.stderr).toBe(
      [2, 3].map((i) => `A record at offset ${i} of partition 0 is not ours; it is left out.\n`).join(''),
    );

    const until = spawnMner(['tail'], env);
    await until.says('Reading');
    until.kill('SIGINT');
    expect(await until.ended).toBe(0);
  });

  it('tail of a topic that is missing says so', async () => {
    const { code, stderr } = await mner(['tail'], { env: { ...env, MNER_OUTPUT_TOPIC: 'nowhere' } });
    expect(code).toBe(4);
    expect(stderr).toMatch(/^mner: The output topic nowhere does not exist.*\n$/);
  });
});
