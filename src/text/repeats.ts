import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Priority } from '../inference/batch-queue.js';
import type { PictureInput } from '../inference/row.js';
import { type Emit, silent } from '../telemetry/events.js';
import type { Reader, Reading } from './reader.js';

export interface RepeatsOptions {
  /** Memory for readings that may come again, in bytes; the least lately used go first. */
  readonly maxBytes: number;
  readonly emit?: Emit;
}

/** Reads what is the same only once: retweets, copied texts, bots. Several readers may share one memory. */
export interface Repeats {
  /**
   * A reader that answers as `reader` does.
   *
   * @param identity what else than words, picture and context decides an answer: the bundle, its head, the provider. Asked at each reading,
   * since a restarted host may come back on another provider
   */
  around(reader: Reader, identity: () => string): Reader;
}

/**
 * The key is a digest of all that an answer follows from: the identity, the words (which hold the convention for mentions: the two cut
 * a text differently, and have heads of their own), the context, and the picture's features themselves. Not its URL, whose picture may
 * change, nor that of its content, which another vision bundle may see differently.
 *
 * What is kept is the reading, counted in words. Where the words stand in a raw text is each tweet's own affair. An error is not
 * kept: what failed is read again the next time.
 *
 * Of the same reading in flight, say tweet A began it and tweet B came while it was under way:
 * 1. A's lane is closed by a rebalance. The reading goes on for B; A finds its lane closed and drops its copy. When B's lane is closed
 *    as well, nobody waits, and the reading is given up unless a batch has it already. If A's tweet comes again (to a new lane of ours)
 *    between that and the batch, a reading of its own begins: it does not join one that may be left.
 * 2. The reading fails. A and B both get the error, each for its own lane to judge: a retry begins a reading anew, since the flight is
 *    over before either hears of it.
 * 3. The reading lands. It is remembered and its flight is over in one step, before A and B hear of it (their callbacks were
 *    registered later), so that C, which comes then, finds it.
 */
export function createRepeats({ maxBytes, emit = silent }: RepeatsOptions): Repeats {
  const readings = new LRUCache<string, Reading>({ maxSize: maxBytes, sizeCalculation: bytesOf });
  const flights = new Map<string, Flight>();
  /** A picture's features are large; the tweets of one look share them. */
  const digests = new WeakMap<PictureInput, string>();

  const digestOf = (picture: PictureInput): string => {
    let digest = digests.get(picture);
    if (digest === undefined) {
      digest = digestPicture(picture);
      digests.set(picture, digest);
    }
    return digest;
  };

  return {
    around: (reader, identity) => ({
      read(words, picture, { context = '', priority = 'live', signal } = {}) {
        const key = hash(
          'sha256',
          JSON.stringify([identity(), picture === null ? null : digestOf(picture), words, context]),
          'base64url',
        );
        const known = readings.get(key);
        if (known) {
          emit({ type: 'repeat', result: 'remembered' });
          return Promise.resolve(known);
        }
        const flight = flights.get(key);
        // A live tweet does not stand behind a replay: it takes the flight over.
        const joins =
          flight !== undefined &&
          !flight.company.left.aborted &&
          !(flight.priority === 'replay' && priority === 'live');
        emit({ type: 'repeat', result: joins ? 'shared' : 'computed' });
        if (joins) {
          flight.company.join(signal);
          return flight.reading;
        }
        const company = createCompany();
        company.join(signal);
        const reading = reader.read(words, picture, { context, priority, signal: company.left });
        const begun = { reading, priority, company };
        flights.set(key, begun);
        const over = () => {
          company.part();
          if (flights.get(key) === begun) flights.delete(key);
        };
        begun.reading.then((reading) => {
          readings.set(key, reading);
          over();
        }, over);
        return begun.reading;
      },
    }),
  };
}

interface Flight {
  readonly reading: Promise<Reading>;
  readonly priority: Priority;
  readonly company: Company;
}

/** Those who wait for one reading. */
interface Company {
  /** Aborts when the last one has gone. */
  readonly left: AbortSignal;
  /** One more waits, until its signal aborts; without a signal, to the end. */
  join(signal: AbortSignal | undefined): void;
  /** Nobody has to wait any more. */
  part(): void;
}

function createCompany(): Company {
  const all = new AbortController();
  const partings: (() => void)[] = [];
  let waiting = 0;
  return {
    left: all.signal,
    join(signal) {
      waiting += 1;
      if (!signal) return;
      const go = () => {
        waiting -= 1;
        if (waiting === 0) all.abort();
      };
      signal.addEventListener('abort', go, { once: true });
      partings.push(() => signal.removeEventListener('abort', go));
    },
    part() {
      for (const parting of partings.splice(0)) parting();
    },
  };
}

function digestPicture({ grid, embedding, ...rest }: PictureInput): string {
  // Objects, and whatever else a family reads of a picture.
  const parts = [bytesIn(grid), bytesIn(embedding), Buffer.from(JSON.stringify(rest))];
  return hash('sha256', Buffer.concat([...parts, Buffer.from(parts.map(({ length }) => length).join())]), 'base64url');
}

function bytesIn({ buffer, byteOffset, byteLength }: Uint16Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

/** Of a key with its places in the maps, and of an empty reading, measured. */
const ENTRY_BYTES = 500;
const CHUNK_BYTES = 88;
const ARRAY_BYTES = 200;

function bytesOf({ chunks, regions }: Reading): number {
  return ENTRY_BYTES + chunks.length * CHUNK_BYTES + (regions ? ARRAY_BYTES + regions.byteLength : 0);
}
