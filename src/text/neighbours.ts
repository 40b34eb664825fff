import { MnerError } from '../errors.js';
import { NEIGHBOURS } from '../inference/input-table.js';
import { isUrl, readBlank } from './flags.js';

/** The nearest neighbours of words in a model's own vectors (docs/bundles.md, "Neighbours"). */
export interface Neighbours {
  /** Words that it knows. */
  readonly words: number;
  /** Writes rows and weights of a word's neighbours at `at`; zeros where it is not known. */
  write(word: string, rows: Uint32Array, weights: Float32Array, at: number): void;
}

const MAGIC = 'MNERNB1\n';
const HEAD = MAGIC.length + 8;
const SIGNS = /^[#@]+/;

/** What a word is looked up by. */
export function formOf(raw: string): string {
  const word = readBlank(raw);
  return isUrl(word) ? 'http' : (word.replace(SIGNS, '') || word).toLowerCase();
}

/**
 * Reads the file `neighbours.bin` where it lies: nothing of it is copied, and a word is found by binary search.
 *
 * @throws MnerError `bad_bundle` when it is not as docs/bundles.md has it
 */
export function readNeighbours(file: Buffer): Neighbours {
  const wrong = (what: string) => new MnerError('bad_bundle', `neighbours.bin cannot be used: ${what}.`);
  if (file.length < HEAD || file.toString('latin1', 0, MAGIC.length) !== MAGIC) throw wrong('it is of another kind');
  const words = file.readUInt32LE(MAGIC.length);
  const tableRows = file.readUInt32LE(MAGIC.length + 4);
  const rowsAt = HEAD + 4 * (words + 1);
  const weightsAt = rowsAt + 4 * NEIGHBOURS * words;
  const namesAt = weightsAt + 4 * NEIGHBOURS * words;
  const place = (i: number) => file.readUInt32LE(HEAD + 4 * i);
  if (file.length < namesAt || file.length !== namesAt + place(words)) throw wrong('it is cut off, or too long');
  const nameOf = (i: number) => file.subarray(namesAt + place(i), namesAt + place(i + 1));
  for (let i = 0; i < words; i++) {
    if (place(i) >= place(i + 1)) throw wrong('its names are not one after the other');
    if (i > 0 && nameOf(i - 1).compare(nameOf(i)) >= 0) throw wrong('its names are not in the order of their bytes');
  }
  for (let i = 0; i < NEIGHBOURS * words; i++) {
    if (file.readUInt32LE(rowsAt + 4 * i) >= Math.max(1, tableRows)) throw wrong('it names a row that the table lacks');
    if (!Number.isFinite(file.readFloatLE(weightsAt + 4 * i))) throw wrong('it holds a weight that is no number');
  }

  const find = (form: Buffer): number => {
    let low = 0;
    let high = words - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const order = nameOf(middle).compare(form);
      if (order === 0) return middle;
      if (order < 0) low = middle + 1;
      else high = middle - 1;
    }
    return -1;
  };

  return {
    words,
    write(word, rows, weights, at) {
      const found = find(Buffer.from(formOf(word)));
      for (let i = 0; i < NEIGHBOURS; i++) {
        rows[at + i] = found < 0 ? 0 : file.readUInt32LE(rowsAt + 4 * (NEIGHBOURS * found + i));
        weights[at + i] = found < 0 ? 0 : file.readFloatLE(weightsAt + 4 * (NEIGHBOURS * found + i));
      }
    },
  };
}
