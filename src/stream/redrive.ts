import { MnerError } from '../errors.js';
import { DEAD_LETTER_HEADERS } from './dead-letter.js';
import { type DeadLetterFilter, type DeadLetterView, isMeant, viewDeadLetter } from './dead-letter-view.js';
import { withoutHeaders } from './headers.js';
import { keyOf } from './partition-key.js';
import type { Broker, InputRecord, OutputRecord, TransactionalProducer } from './port.js';
import { readToEnd } from './read-to-end.js';
import { LEDGER_CHARACTERS, type Redriven, readRedriven } from './redriven.js';
import { writeParts } from './write-parts.js';

export interface RedriveOptions {
  readonly broker: Broker;
  /** The topic of the dead letters. */
  readonly topic: string;
  /** The workers' group; the redrive has one of its own beside it. */
  readonly group: string;
  readonly filter: DeadLetterFilter;
  /** Sends so many and no more. @default all */
  readonly max?: number | undefined;
  /** What failed so often is left. */
  readonly maxAttempts: number;
  /** Only says what would be sent. */
  readonly dryRun: boolean;
  /** After this long the broker aborts a transaction by itself, in milliseconds. */
  readonly timeoutMs: number;
  /** Ends it early, after the transaction under way. */
  readonly signal?: AbortSignal;
  /** Told of each dead letter that is sent, or would be, once that is for good. */
  readonly sent?: (letter: DeadLetterView) => void;
}

/** Why a dead letter that was meant is not sent back. */
export const LEFT = ['attempts', 'truncated', 'no_source', 'source_missing', 'too_large', 'refused'] as const;
export type Left = (typeof LEFT)[number];

export interface Redrive {
  readonly sent: number;
  /** Those that were sent back by an earlier redrive. */
  readonly before: number;
  readonly left: Readonly<Record<Left, number>>;
}

/** The group that keeps which dead letters were sent back. */
export function redriveGroup(group: string): string {
  return `${group}.redrive`;
}

/** One partition of the dead letters, while it is ours. */
interface Session {
  readonly producer: TransactionalProducer;
  readonly redriven: Redriven;
  /** A transaction has begun and nothing is in it. */
  begun: boolean;
  /** One past the last record that was read: offsets from here to the next one hold nothing. */
  next: bigint;
}

/**
 * Sends dead letters back to the partitions that they came from, each of them once: with its own bytes, key and headers, and
 * `mner-attempts`, so that a second failure counts on.
 *
 * Why none is doubled or lost, whoever kills it, and however often it runs. What was sent back is kept in the offset of a
 * group (redriven.ts). For each partition, in this order, as in `exactly-once.ts`: a transactional producer begins, which
 * fences another redrive of the partition and ends what that left open; only then is the group's offset read; then records
 * and the new offset are written in one transaction, one awaited send for each partition. Killed before the commit, nothing
 * of it is seen; after it, the next redrive finds it in the offset. Where the commit is not answered it may be either, and
 * this one ends there: the next one's fence waits until it is decided.
 *
 * @throws MnerError `redrive_overtaken` when another redrive took a partition over, `redrive_scattered` when what was sent
 * back is too scattered to be kept; the wire's codes. What was told to `sent` holds in any case.
 */
export async function redrive(options: RedriveOptions): Promise<Redrive> {
  const { broker, topic, group, filter, max = Number.POSITIVE_INFINITY, maxAttempts, dryRun, timeoutMs } = options;
  const { signal, sent = () => {} } = options;
  const own = redriveGroup(group);
  const sessions = new Map<number, Promise<Session>>();
  const counts = new Map<string, number>();
  const left = Object.fromEntries(LEFT.map((why) => [why, 0])) as Record<Left, number>;
  let [done, before] = [0, 0];
  const open = async (partition: number): Promise<Session> => {
    const id = `mner/${group}/redrive/${topic}/${partition}`;
    const producer = dryRun ? idle : await broker.transactions({ id, timeoutMs });
    try {
      await producer.begin();
      const found = (await broker.offsets(topic, own)).find((one) => one.partition === partition);
      if (!found) throw new MnerError('topic_missing', `${topic} has no partition ${partition} any more.`);
      return { producer, redriven: readRedriven(found), begun: true, next: found.start };
    } catch (error) {
      void producer.stop();
      throw error;
    }
  };

  /** Undefined where it may be sent. */
  const whyLeft = (letter: DeadLetterView): Left | undefined => {
    if (letter.code === null || letter.source === null) return 'no_source';
    if (letter.truncated) return 'truncated';
    if (letter.attempts >= maxAttempts) return 'attempts';
    return letter.source.partition < (counts.get(letter.source.topic) ?? 0) ? undefined : 'source_missing';
  };

  const learn = async (letters: readonly DeadLetterView[]): Promise<void> => {
    const unknown = new Set(letters.flatMap(({ source }) => source?.topic ?? []).filter((name) => !counts.has(name)));
    if (unknown.size === 0) return;
    const found = await broker.partitions([...unknown]);
    for (const name of unknown) counts.set(name, found.get(name) ?? 0);
  };

  const take = async (records: readonly InputRecord[]): Promise<boolean> => {
    const partition = records[0]?.partition ?? 0;
    const opening = sessions.get(partition) ?? open(partition);
    sessions.set(partition, opening);
    const session = await opening;
    const letters = records.map((record) => ({ letter: viewDeadLetter(record), record }));
    await learn(letters.map(({ letter }) => letter));
    const items: Item[] = [];
    for (const { letter, record } of letters) {
      const from = session.next;
      session.next = letter.offset + 1n;
      if (done + items.length >= max || !isMeant(letter, filter)) continue;
      const why = session.redriven.has(letter.offset) ? 'before' : whyLeft(letter);
      if (why === 'before') before += 1;
      else if (why) left[why] += 1;
      else items.push({ letter, from, output: sentBack(record) });
    }
    if (items.length > 0) await write(session, partition, items);
    return done < max && !signal?.aborted;
  };

  const write = async (session: Session, partition: number, items: readonly Item[]): Promise<void> => {
    const { producer, redriven } = session;
    if (!session.begun) await producer.begin();
    session.begun = false;
    const refused = new Set<Item>();
    for (const to of targets(items)) {
      const same = items.filter(
        ({ letter: { source } }) => source?.topic === to.topic && source.partition === to.partition,
      );
      await writeParts(
        (at, some) => producer.send(at, some),
        to,
        same,
        (item, { code }) => {
          refused.add(item);
          left[code === 'output_too_large' ? 'too_large' : 'refused'] += 1;
        },
      );
    }
    const gone = items.filter((item) => !refused.has(item));
    for (const { from, letter } of gone) redriven.add(from, letter.offset + 1n);
    const place = redriven.place();
    if (place.metadata.length > LEDGER_CHARACTERS) throw new MnerError('redrive_scattered');
    await producer.sendOffsets(own, [{ topic, partition, ...place }]);
    await producer.commit();
    for (const { letter } of gone) sent(letter);
    done += gone.length;
  };

  try {
    await readToEnd({
      broker,
      topic,
      group: `${own}.reader`,
      partitions: filter.partitions,
      take,
      ...(signal && { signal }),
    });
    return { sent: done, before, left };
  } catch (error) {
    if (error instanceof MnerError && error.code === 'producer_fenced') throw new MnerError('redrive_overtaken');
    throw error;
  } finally {
    for (const session of sessions.values()) {
      const { producer } = await session.catch(() => ({ producer: idle }));
      // Of a transaction that failed; readers need not wait for its time-out then.
      await producer.abort().catch(() => {});
      await producer.stop();
    }
  }
}

interface Item {
  readonly letter: DeadLetterView;
  /** Offsets from here up to the letter's hold no other one. */
  readonly from: bigint;
  readonly output: OutputRecord;
}

const SET_BY_US: ReadonlySet<string> = new Set([...DEAD_LETTER_HEADERS].filter((name) => name !== 'mner-attempts'));

/** The record as it was, and how often it failed. */
function sentBack({ key, value, headers }: InputRecord): OutputRecord {
  return { key, value, headers: withoutHeaders(headers, SET_BY_US) };
}

function targets(items: readonly Item[]) {
  const found = new Map<string, { topic: string; partition: number }>();
  for (const {
    letter: { source },
  } of items)
    if (source) found.set(keyOf(source), { topic: source.topic, partition: source.partition });
  return found.values();
}

/** For a dry run: writes nothing and fences nobody. */
const idle: TransactionalProducer = {
  begin: async () => {},
  send: async () => {},
  sendOffsets: async () => {},
  commit: async () => {},
  abort: async () => {},
  stop: async () => {},
};
