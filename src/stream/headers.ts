import type { Headers, OutputRecord } from './port.js';

/** The text of the last header with this name, as Kafka's own clients read a repeated one; undefined where there is none. */
export function headerText(headers: Headers, name: string): string | undefined {
  return headers.findLast(([other]) => other === name)?.[1].toString('utf8');
}

/** The same headers without those of these names. */
export function withoutHeaders(headers: Headers, names: ReadonlySet<string>): Headers {
  return headers.filter(([name]) => !names.has(name));
}

/** A header with a text as its value. */
export function textHeader(name: string, value: string): readonly [string, Buffer] {
  return [name, Buffer.from(value, 'utf8')];
}

/** Bytes that a record takes, without the broker's framing. */
export function recordBytes({ key, value, headers }: OutputRecord): number {
  return (key?.length ?? 0) + (value?.length ?? 0) + headerBytes(headers);
}

/** Bytes that headers take, without the broker's framing. */
export function headerBytes(headers: Headers): number {
  let bytes = 0;
  for (const [name, value] of headers) bytes += name.length + value.length;
  return bytes;
}
