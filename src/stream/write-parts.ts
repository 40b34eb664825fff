import { MnerError } from '../errors.js';
import { recordBytes } from './headers.js';
import type { OutputRecord, TopicPartition } from './port.js';

/** Writes records to one partition, all or none. @throws MnerError `output_too_large`, `output_refused` and others */
export type Send = (to: TopicPartition, records: readonly OutputRecord[]) => Promise<void>;

/** Something that has a record to be written. */
export interface Item {
  readonly output: OutputRecord;
}

/** Records and bytes that one send takes: kafkajs's cost grows with the square of the one, and a broker refuses many of the other. */
const SEND_RECORDS = 512;
const SEND_BYTES = 512 * 1024;

/**
 * Writes the items to one partition, in order, in as few sends as their number and size allow. The broker refuses a batch as a
 * whole and does not say for which of its records, so a refused one is halved until a single record remains; `refused`
 * deals with that one before the next are written.
 */
export async function writeParts<T extends Item>(
  send: Send,
  to: TopicPartition,
  items: readonly T[],
  refused: (item: T, error: MnerError) => Promise<void> | void,
): Promise<void> {
  for (const part of parts(items)) await writePart(send, to, part, refused);
}

async function writePart<T extends Item>(
  send: Send,
  to: TopicPartition,
  items: readonly T[],
  refused: (item: T, error: MnerError) => Promise<void> | void,
): Promise<void> {
  const [only] = items;
  if (!only) return;
  try {
    await send(
      to,
      items.map(({ output }) => output),
    );
  } catch (error) {
    // Any other class is the fault of no record.
    if (!(error instanceof MnerError) || error.class !== 'poison') throw error;
    if (items.length === 1) return await refused(only, error);
    const half = items.length >> 1;
    await writePart(send, to, items.slice(0, half), refused);
    await writePart(send, to, items.slice(half), refused);
  }
}

/** The items in their order, cut where a send would become too long or too large. */
function parts<T extends Item>(items: readonly T[]): T[][] {
  const cut: T[][] = [];
  let part: T[] = [];
  let bytes = 0;
  for (const item of items) {
    const size = recordBytes(item.output);
    if (part.length > 0 && (part.length >= SEND_RECORDS || bytes + size > SEND_BYTES)) {
      cut.push(part);
      part = [];
      bytes = 0;
    }
    part.push(item);
    bytes += size;
  }
  if (part.length > 0) cut.push(part);
  return cut;
}
