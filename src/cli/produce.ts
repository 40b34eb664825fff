import { createHash } from 'node:crypto';
import type { Command } from 'commander';
import { brokerOf } from '../adapters.js';
import { delay, systemClock } from '../clock.js';
import { MnerError } from '../errors.js';
import type { OutputRecord, Producer } from '../stream/port.js';
import { silent } from '../telemetry/events.js';
import { parseTweet } from '../tweet/parse.js';
import { readLines } from './lines.js';
import { numberOption } from './options.js';
import { progress, say } from './print.js';
import { settingsOf } from './settings.js';

/** Tweets sent at once; also what a lost connection may cost. */
const BATCH = 500;

/** `mner produce`: sends each line of a file as one record, bad ones too, so that dead letters can be tried out. */
export async function produce(file: string, command: Command): Promise<void> {
  const { config } = settingsOf(command);
  const rate = numberOption('--rate', command.opts<{ rate: string }>().rate, 0, 1_000_000);
  const broker = brokerOf(config, silent);
  const bar = progress();
  try {
    await broker.connect();
    const partitions = (await broker.partitions([config.input_topic])).get(config.input_topic);
    if (partitions === undefined) {
      throw new MnerError('topic_missing', `The input topic ${config.input_topic} does not exist.`);
    }
    const producer = await broker.producer();
    const started = systemClock.now();
    let sent = 0;
    let batch: OutputRecord[] = [];
    const flush = async () => {
      await sendAll(producer, config.input_topic, partitions, batch, sent);
      sent += batch.length;
      batch = [];
      const seconds = (systemClock.now() - started) / 1000;
      bar.update(`${sent} tweets sent, ${Math.round(sent / Math.max(seconds, 0.001))} a second`);
      if (rate > 0) await delay(systemClock, (sent / rate - seconds) * 1000);
    };
    // At a low rate small batches keep the stream even: about twenty of them a second.
    const size = rate > 0 ? Math.min(BATCH, Math.max(1, Math.round(rate / 20))) : BATCH;
    for await (const { bytes } of readLines(file)) {
      batch.push({ key: keyOf(bytes), value: bytes, headers: [] });
      if (batch.length >= size) await flush();
    }
    if (batch.length > 0) await flush();
    bar.done();
    say(`${sent} tweets sent to ${config.input_topic}.`);
  } finally {
    bar.done();
    await broker.close();
  }
}

/** The tweet's id, so that all records of one tweet share a partition; nothing for what is no tweet. */
function keyOf(bytes: Buffer): Buffer | null {
  try {
    return Buffer.from(parseTweet(bytes).id);
  } catch {
    return null;
  }
}

async function sendAll(
  producer: Producer,
  topic: string,
  partitions: number,
  records: readonly OutputRecord[],
  before: number,
): Promise<void> {
  const byPartition = new Map<number, OutputRecord[]>();
  records.forEach((record, i) => {
    const partition = (record.key === null ? before + i : hashOf(record.key)) % partitions;
    const others = byPartition.get(partition);
    if (others) others.push(record);
    else byPartition.set(partition, [record]);
  });
  await Promise.all([...byPartition].map(([partition, part]) => producer.send({ topic, partition }, part)));
}

function hashOf(key: Buffer): number {
  return createHash('sha1').update(key).digest().readUInt32BE(0);
}
