import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import kafkajs, { type Admin } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LocalKafka, startKafka } from '#mner/local/kafka.js';
import { runKafkaTool } from '#mner/local/kafka-tool.js';
import { provideTool } from '#mner/local/tools.js';
import { COMPRESSIONS, kafkaBroker } from '#mner/stream/kafka/broker.js';
import type { Broker, InputRecord } from '#mner/stream/port.js';
import { inbox } from '../inbox.js';
import { freshName, text } from '../names.js';

const absent = !process.env.MNER_TEST_BROKERS;
const CODECS = ['gzip', 'snappy', 'lz4', 'zstd'] as const;
/** Enough to be packed, and too much for one block of xerial's snappy (32 KiB). */
const LONG = `${'the same again and again, '.repeat(2000)}to the end`;
/** For a failure that fits the screen. */
const brief = (line: string) => line.replaceAll(LONG, 'LONG');

describe.skipIf(absent)(`records and other clients${absent ? ' (skipped without MNER_TEST_BROKERS)' : ''}`, () => {
  let kafka: LocalKafka;
  let broker: Broker;
  let admin: Admin;
  let kcat = '';
  let folder = '';

  beforeAll(async () => {
    kcat = await provideTool('kcat', 'kcat', () => {});
    folder = mkdtempSync(join(tmpdir(), 'mner-clients-'));
    // Compaction within a moment, and not every 15 seconds.
    kafka = await startKafka({ properties: { 'log.cleaner.backoff.ms': '100' } });
    broker = kafkaBroker({ brokers: kafka.brokers });
    await broker.connect();
    admin = new kafkajs.Kafka({ brokers: kafka.brokers, logLevel: kafkajs.logLevel.NOTHING }).admin();
    await admin.connect();
  }, 180_000);
  afterAll(async () => {
    await admin?.disconnect();
    await broker?.close();
    await kafka?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const topicWith = async (settings: Record<string, string> = {}) => {
    const topic = freshName('clients');
    const configEntries = Object.entries(settings).map(([name, value]) => ({ name, value }));
    await admin.createTopics({ topics: [{ topic, numPartitions: 1, replicationFactor: 1, configEntries }] });
    // Also waits for its leader.
    await broker.createTopics([{ topic, partitions: 1 }]);
    await broker.offsets(topic, 'nobody');
    return topic;
  };
  const asked = (tool: string, args: readonly string[], input = '') =>
    new Promise<string>((resolve, reject) => {
      const child = execFile(tool, args, { maxBuffer: 1 << 26 }, (error, stdout, stderr) =>
        error ? reject(new Error(`${error.message}: ${stderr}`)) : resolve(stdout),
      );
      child.stdin?.end(input);
    });
  const byKcat = (topic: string, input: string, ...more: string[]) =>
    asked(kcat, ['-b', kafka.brokers.join(','), '-P', '-t', topic, '-p', '0', ...more], input);
  /** Reads from the start until a record with this value comes. */
  const readUntil = async (topic: string, last: string): Promise<readonly InputRecord[]> => {
    const box = inbox();
    const consumer = broker.consumer({ topics: [topic], group: freshName('group') });
    await consumer.start(box);
    await box.until(({ records }) => records.all.some(({ value }) => String(value) === last));
    await consumer.stop();
    return box.records.all;
  };
  const shown = ({ key, value, headers }: InputRecord) => ({
    key: key === null ? null : String(key),
    value: value === null ? null : brief(String(value)),
    headers: headers.map(([name, content]) => `${name}=${content}`),
  });

  it.each(CODECS)(
    'kcat writes with %s: keys, null keys, tombstones and headers are read as they are',
    async (codec) => {
      const topic = await topicWith();
      const packed = ['-z', codec, '-H', 'from=kcat', '-H', 'twice=1', '-H', 'twice=2', '-X', 'linger.ms=200'];
      await byKcat(topic, `k1|one\nk2|${LONG}\nk3|\n`, '-K', '|', '-Z', ...packed);
      await byKcat(topic, `without a key\nlast`, ...packed);
      const headers = ['from=kcat', 'twice=1', 'twice=2'];
      expect((await readUntil(topic, 'last')).map(shown)).toEqual([
        { key: 'k1', value: 'one', headers },
        { key: 'k2', value: 'LONG', headers },
        { key: 'k3', value: null, headers },
        { key: null, value: 'without a key', headers },
        { key: null, value: 'last', headers },
      ]);
    },
  );

  it.each(CODECS)(
    "Java's console producer writes with %s, idempotently: the same",
    async (codec) => {
      const topic = await topicWith();
      const input = join(folder, `${codec}.txt`);
      const lines = ['a:1\tk1\tone', `a:1,b:2\tk2\t${LONG}`, 'NULL\tk3\tNULL', 'NULL\tNULL\tlast'];
      writeFileSync(input, `${lines.join('\n')}\n`);
      const reader = ['parse.key=true', 'parse.headers=true', 'null.marker=NULL'];
      await runKafkaTool(
        'org.apache.kafka.tools.ConsoleProducer',
        [
          ...['--bootstrap-server', kafka.brokers.join(','), '--topic', topic, '--compression-codec', codec],
          ...['--command-property', 'enable.idempotence=true', '--command-property', 'acks=all'],
          ...reader.flatMap((property) => ['--reader-property', property]),
        ],
        { input },
      );
      expect((await readUntil(topic, 'last')).map(shown)).toEqual([
        { key: 'k1', value: 'one', headers: ['a=1'] },
        { key: 'k2', value: 'LONG', headers: ['a=1', 'b=2'] },
        { key: 'k3', value: null, headers: [] },
        { key: null, value: 'last', headers: [] },
      ]);
    },
    60_000,
  );

  it("what we write with every codec is read by kcat and by Java's console consumer", async () => {
    const topic = await topicWith();
    const values: string[] = [];
    for (const compression of COMPRESSIONS) {
      const packing = kafkaBroker({ brokers: kafka.brokers, compression });
      const producer = await packing.producer();
      const some = Array.from({ length: 3 }, (_, i) => `${compression} ${i} ${LONG}`);
      await producer.send(
        { topic, partition: 0 },
        some.map((value) => text(value, [['codec', Buffer.from(compression)]], 'k')),
      );
      values.push(...some);
      await packing.close();
    }
    const where = ['-b', kafka.brokers.join(','), '-t', topic];
    const read = await asked(kcat, ['-C', '-q', '-e', '-o', 'beginning', '-f', '%k %h %s\n', ...where]);
    expect(read.trimEnd().split('\n').map(brief)).toEqual(
      values.map((value) => `k codec=${value.split(' ')[0]} ${brief(value)}`),
    );
    const java = await runKafkaTool('org.apache.kafka.tools.consumer.ConsoleConsumer', [
      ...['--bootstrap-server', kafka.brokers.join(','), '--topic', topic, '--partition', '0', '--offset', 'earliest'],
      ...['--max-messages', String(values.length)],
    ]);
    expect(java.filter((line) => line.includes(LONG)).map(brief)).toEqual(values.map(brief));
  }, 60_000);

  it("a transaction of kcat's is read when it is committed; one of ours that is aborted never", async () => {
    const topic = await topicWith();
    const void_ = await broker.transactions({ id: freshName('aborted'), timeoutMs: 20_000 });
    await void_.begin();
    await void_.send({ topic, partition: 0 }, [text('void 1'), text('void 2')]);
    await byKcat(topic, 'one\ntwo', '-X', `transactional.id=${freshName('kcat')}`);
    await void_.abort();
    // An abort is answered before its marker is written.
    let end = 0n;
    while (end < 6n) end = (await broker.offsets(topic, freshName('group')))[0]?.end ?? 0n;
    await byKcat(topic, 'last', '-X', 'enable.idempotence=true');
    const records = await readUntil(topic, 'last');
    expect(records.map(({ value }) => String(value))).toEqual(['one', 'two', 'last']);
    // The void ones, and the marker at the end of each transaction, have offsets too.
    expect(records.map(({ offset }) => offset)).toEqual([2n, 3n, 6n]);
  });

  it('a compacted topic is read over its gaps, with its tombstones', async () => {
    const topic = await topicWith({
      'cleanup.policy': 'compact',
      'segment.ms': '100',
      'min.cleanable.dirty.ratio': '0.01',
      'delete.retention.ms': '600000',
    });
    const producer = await broker.producer();
    const send = (key: string, value: string | null) =>
      producer.send({ topic, partition: 0 }, [
        { ...text(value ?? '', [], key), value: value === null ? null : Buffer.from(value) },
      ]);
    for (let round = 0; round < 20; round += 1) for (const key of ['a', 'b', 'c']) await send(key, `${key}${round}`);
    await send('b', null);
    // What was written is compacted once a newer segment has begun; each of these may begin one.
    for (let turn = 0; ; turn += 1) {
      await send('last', `turn ${turn}`);
      const records = await readUntil(topic, `turn ${turn}`);
      const older = records.filter(({ key }) => String(key) !== 'last');
      if (older.length > 3) continue;
      expect(older.map(({ key, value, offset }) => [String(key), value && String(value), offset])).toEqual([
        ['a', 'a19', 57n],
        ['c', 'c19', 59n],
        ['b', null, 60n],
      ]);
      break;
    }
  }, 90_000);

  it('a batch larger than what is fetched at once is read whole', async () => {
    const topic = await topicWith({ 'max.message.bytes': '10000000' });
    const producer = new kafkajs.Kafka({ brokers: kafka.brokers, logLevel: kafkajs.logLevel.NOTHING }).producer();
    await producer.connect();
    const values = Array.from({ length: 60 }, (_, i) => `${i} ${'x'.repeat(100_000)}`);
    await producer.send({ topic, messages: [...values, 'last'].map((value) => ({ value, partition: 0 })) });
    await producer.disconnect();
    expect((await readUntil(topic, 'last')).map(({ value }) => String(value))).toEqual([...values, 'last']);
  });
});
