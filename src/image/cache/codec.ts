import { crc32 } from 'node:zlib';
import { floatToHalf, halfToFloat } from '../half.js';
import type { Features, ImageStatus } from '../port.js';
import type { VisionShape } from '../vision-shape.js';

/** What the fleet remembers of a picture: its features, or why it has none. */
export type Remembered =
  | { readonly status: 'used'; readonly features: Features }
  | { readonly status: Exclude<ImageStatus, 'used' | 'none' | 'skipped'> };

export interface Codec {
  encode(entry: Remembered): Buffer;
  /** Null for everything that this codec did not write: corrupt, cut off, of another version, bundle or program. */
  decode(value: Uint8Array): Remembered | null;
}

const VERSION = 2;
/** The byte of a status is its place here; new ones go to the end. */
const STATUSES = [
  'used',
  'unreachable',
  'refused',
  'not_found',
  'too_large',
  'unreadable',
  'timed_out',
  'rate_limited',
] as const satisfies readonly ImageStatus[];

const HEAD = 4;
const TAIL = 4;
const TAG = 4;
const OBJECT = 12;
const WORDS = 2;

/**
 * Little-endian bytes:
 *
 * | bytes | |
 * |---|---|
 * | 1 | version of this layout |
 * | 1 | status, by its place in {@link STATUSES}; after any but `used` the checksum follows |
 * | 1 + 1 | number of tags, number of objects |
 * | 2 each | grid, then embedding: float16, in the shapes of the vision bundle |
 * | 4 each | tags: index, score as float16 |
 * | 12 each | objects: class, score, x0, y0, x1, y1 as float16 |
 * | 0, or 2 + n | nothing where the words were not read; else n, and the words in n bytes of UTF-8 |
 * | 4 | CRC-32 of all before, seeded with the bundle's name and version and its shapes |
 *
 * With the shapes of docs/bundles.md a value takes 10,476 bytes at most, and with words 1,202 bytes more.
 */
export function createCodec(bundle: Pick<VisionShape, 'version' | 'cells' | 'cellWidth' | 'embeddingWidth'>): Codec {
  const gridLength = bundle.cells * bundle.cellWidth;
  const vectors = 2 * (gridLength + bundle.embeddingWidth);
  const seed = crc32(`${bundle.version}/${bundle.cells}/${bundle.cellWidth}/${bundle.embeddingWidth}`);

  function encode(entry: Remembered): Buffer {
    const features = entry.status === 'used' ? entry.features : null;
    const tags = features?.tags ?? [];
    const objects = features?.objects ?? [];
    const words = features?.words === undefined ? null : Buffer.from(features.words);
    const body = features
      ? vectors + tags.length * TAG + objects.length * OBJECT + (words ? WORDS + words.length : 0)
      : 0;
    const out = Buffer.alloc(HEAD + body + TAIL);
    let at = 0;
    const byte = (value: number) => {
      at = out.writeUInt8(value, at);
    };
    const short = (value: number) => {
      at = out.writeUInt16LE(value, at);
    };
    byte(VERSION);
    byte(STATUSES.indexOf(entry.status));
    byte(tags.length);
    byte(objects.length);
    if (features) {
      at += bytesOf(features.grid).copy(out, at);
      at += bytesOf(features.embedding).copy(out, at);
      if (at !== HEAD + vectors) throw new RangeError('the features have other shapes than the vision bundle');
      for (const { tag, score } of tags) {
        short(tag);
        short(floatToHalf(score));
      }
      for (const { class: kind, score, box } of objects) {
        short(kind);
        short(floatToHalf(score));
        for (const edge of box) short(floatToHalf(edge));
      }
      if (words) {
        short(words.length);
        at += words.copy(out, at);
      }
    }
    out.writeUInt32LE(crc32(out.subarray(0, at), seed), at);
    return out;
  }

  function decode(bytes: Uint8Array): Remembered | null {
    const value = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (value.length < HEAD + TAIL || value[0] !== VERSION) return null;
    const end = value.length - TAIL;
    if (crc32(value.subarray(0, end), seed) !== value.readUInt32LE(end)) return null;
    const status = STATUSES[value[1] ?? -1];
    if (status === undefined) return null;
    const [tagCount, objectCount] = [value[2] ?? 0, value[3] ?? 0];
    if (status !== 'used') return end === HEAD ? { status } : null;
    const wordsAt = HEAD + vectors + tagCount * TAG + objectCount * OBJECT;
    const hasWords = end > wordsAt;
    if (end !== wordsAt && (end < wordsAt + WORDS || end !== wordsAt + WORDS + value.readUInt16LE(wordsAt)))
      return null;
    let at = HEAD;
    const short = () => {
      at += 2;
      return value.readUInt16LE(at - 2);
    };
    const half = () => halfToFloat(short());
    const vector = (length: number) => {
      const out = new Uint16Array(length);
      at += value.copy(bytesOf(out), 0, at, at + 2 * length);
      return out;
    };
    const grid = vector(gridLength);
    const embedding = vector(bundle.embeddingWidth);
    const tags = Array.from({ length: tagCount }, () => ({ tag: short(), score: half() }));
    const objects = Array.from({ length: objectCount }, () => ({
      class: short(),
      score: half(),
      box: [half(), half(), half(), half()] as const,
    }));
    const words = hasWords ? value.toString('utf8', wordsAt + WORDS, end) : undefined;
    return { status, features: { grid, embedding, tags, objects, ...(words !== undefined && { words }) } };
  }

  return { encode, decode };
}

/** Whether a value, if it is one of ours, remembers a failure: nothing stands between its head and its checksum. */
export function isNegative(value: Uint8Array): boolean {
  return value.length === HEAD + TAIL;
}

/** The vector's own bytes. Little-endian, as is every machine that onnxruntime runs on. */
function bytesOf(vector: Uint16Array): Buffer {
  return Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength);
}
