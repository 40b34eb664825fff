import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import type { IHeaders, KafkaMessage } from 'kafkajs';
import { provideTool } from '#mner/local/tools.js';
import { Kafka, logLevel } from '#mner/stream/kafka/kafkajs.js';
import { freshName } from '../stream/names.js';
import type { Seen } from './oracle.js';
import { ID_HEADER } from './traffic.js';

/** The value of the last record of a partition, by which our reader knows that it has seen all. */
const END = 'end-of-soak';

/** By topic, the number of its partitions. */
export type Topics = Readonly<Record<string, number>>;

/** Marks the end of every partition. */
export async function markEnds(brokers: readonly string[], topics: Topics): Promise<void> {
  const producer = new Kafka({ brokers: [...brokers], logLevel: logLevel.NOTHING }).producer();
  await producer.connect();
  for (const [topic, partitions] of Object.entries(topics))
    for (let partition = 0; partition < partitions; partition += 1)
      await producer.send({ topic, messages: [{ partition, value: END }] });
  await producer.disconnect();
}

/** All committed records up to the marks, in their order within each partition. */
export async function readAll(brokers: readonly string[], topics: Topics): Promise<Seen[]> {
  const consumer = new Kafka({ brokers: [...brokers], logLevel: logLevel.NOTHING }).consumer({
    groupId: freshName('judge'),
    readUncommitted: false,
    maxWaitTimeInMs: 100,
  });
  const read: Seen[] = [];
  const left = new Set(
    Object.entries(topics).flatMap(([topic, count]) => Array.from({ length: count }, (_, i) => `${topic}/${i}`)),
  );
  await consumer.connect();
  await consumer.subscribe({ topics: Object.keys(topics), fromBeginning: true });
  await new Promise<void>((resolve) => {
    void consumer.run({
      eachMessage: async ({ topic, partition, message }) => {
        // A rejoin would begin again; whatever comes after the mark is such a repetition.
        if (!left.has(`${topic}/${partition}`)) return;
        if (String(message.value) !== END) read.push(seenOf(topic, partition, message));
        else if (left.delete(`${topic}/${partition}`) && left.size === 0) resolve();
      },
    });
  });
  await consumer.disconnect();
  return [...new Map(read.map((one) => [`${one.topic}/${one.partition}/${one.offset}`, one])).values()];
}

function seenOf(topic: string, partition: number, message: KafkaMessage): Seen {
  const header = (name: string) => headerOf(message.headers, name);
  const id = header(ID_HEADER) ?? '';
  const base = { topic, partition, offset: BigInt(message.offset), id };
  const digest = () => createHash('sha256').update(`${message.key}\0${message.value}`).digest('hex');
  const code = header('mner-error-code');
  if (code !== undefined) {
    const source = {
      partition: Number(header('mner-source-partition')),
      offset: BigInt(header('mner-source-offset') ?? -1),
    };
    return { ...base, digest: digest(), source, outcome: code };
  }
  const from = header('mner-source')?.split('/');
  if (!from) return { ...base, digest: digest(), source: null, outcome: null };
  const source = { partition: Number(from[1]), offset: BigInt(from[2] ?? -1) };
  return { ...base, digest: null, source, outcome: message.value === null ? 'tombstone' : outputOf(message, id) };
}

/** An output that does not hold its own id is none. */
function outputOf({ value }: KafkaMessage, id: string): string {
  const { tweet_id: own, schema } = JSON.parse(String(value)) as { tweet_id?: string; schema?: string };
  return own === id && schema === 'tweet-entities/1' ? 'output' : 'an output of another tweet';
}

function headerOf(headers: IHeaders | undefined, name: string): string | undefined {
  const value = headers?.[name];
  return value === undefined ? undefined : String(Array.isArray(value) ? value[0] : value);
}

const run = promisify(execFile);

/** Where kcat, a client that nobody of us wrote, sees which id: `topic/partition/offset id`, sorted. */
export async function readByKcat(brokers: readonly string[], topics: readonly string[]): Promise<string[]> {
  const kcat = await provideTool('kcat', 'kcat', () => {});
  const lines: string[] = [];
  for (const topic of topics) {
    const isolation = ['-X', 'isolation.level=read_committed', '-X', 'check.crcs=true'];
    const args = ['-C', '-q', '-e', '-o', 'beginning', '-b', brokers.join(','), '-t', topic, ...isolation];
    const { stdout } = await run(kcat, [...args, '-f', '%t/%p/%o %h\\n'], { maxBuffer: 1 << 30 });
    for (const line of stdout.split('\n')) {
      const found = new RegExp(`^(\\S+) (?:.*,)?${ID_HEADER}=([^,]+)`).exec(line);
      if (found) lines.push(`${found[1]} ${found[2]}`);
    }
  }
  return lines.sort();
}

/** The same of what our reader saw. */
export function placesOf(seen: readonly Seen[], topics: readonly string[]): string[] {
  return seen
    .filter(({ topic }) => topics.includes(topic))
    .map(({ topic, partition, offset, id }) => `${topic}/${partition}/${offset} ${id}`)
    .sort();
}
