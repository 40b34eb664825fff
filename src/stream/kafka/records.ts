import type { IHeaders, KafkaMessage, Message } from 'kafkajs';
import type { Headers, InputRecord, OutputRecord } from '../port.js';

/** A message of kafkajs as a record of ours. */
export function fromMessage(topic: string, partition: number, message: KafkaMessage): InputRecord {
  return {
    topic,
    partition,
    offset: BigInt(message.offset),
    key: message.key,
    value: message.value,
    headers: fromHeaders(message.headers),
    timestamp: Number(message.timestamp),
  };
}

export function toMessage(partition: number, record: OutputRecord): Message {
  return { partition, key: record.key, value: record.value, headers: toHeaders(record.headers) };
}

/**
 * kafkajs holds headers in an object, so between different names the order of repeated ones is lost. A header without a
 * value (Kafka allows null) becomes an empty one: kafkajs reads null and throws when it is to write it.
 */
function fromHeaders(headers: IHeaders | undefined): Headers {
  const list: [string, Buffer][] = [];
  for (const [name, values] of Object.entries(headers ?? {})) {
    for (const value of Array.isArray(values) ? values : [values])
      if (isValue(value)) list.push([name, value ?? EMPTY]);
  }
  return list;
}

const EMPTY = Buffer.alloc(0);

/**
 * For a header named like something that every object has (`constructor`, `__proto__`) kafkajs takes that for a value that came
 * before, and puts it in front. It is none; and to throw here would stop the partition at this record for good.
 */
function isValue(value: unknown): value is Buffer | null | undefined {
  return value === null || value === undefined || Buffer.isBuffer(value);
}

function toHeaders(headers: Headers): IHeaders {
  // Without a prototype, so that a header named __proto__ is one like any other.
  const held: Record<string, Buffer | Buffer[]> = Object.create(null);
  for (const [name, value] of headers) {
    const before = held[name];
    if (before === undefined) held[name] = value;
    else if (Array.isArray(before)) before.push(value);
    else held[name] = [before, value];
  }
  return held;
}
