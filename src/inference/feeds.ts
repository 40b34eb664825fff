import { MnerError } from '../errors.js';
import { INPUT_TABLE, type InputName } from './input-table.js';
import type { NerManifest } from './manifest.js';
import type { Tensor, Tensors } from './port.js';
import type { PictureInput, Row, RowResult } from './row.js';

/** Turns rows into the tensors that a bundle lists, and what comes out into results. */
export interface Feeds {
  /** @throws MnerError `internal` when a picture's features are not those of the bundle's vision encoder */
  pack(rows: readonly Row[]): Tensors;
  /** A result for each row; a row with NaN or infinity in it is poison, its neighbours are not. */
  split(rows: readonly Row[], outputs: Tensors): (RowResult | MnerError)[];
}

interface Extent {
  readonly rows: readonly Row[];
  /** L, the longest row's. */
  readonly pieces: number;
  /** T, the longest row's. */
  readonly words: number;
  /** Values of one row, or of one of its words or objects, as the manifest's shape has it. */
  readonly size: number;
}

type Fill = (extent: Extent) => Tensor;

/** How each input is filled. */
const FILLS: Readonly<Record<InputName, Fill>> = {
  input_ids: ({ rows, pieces }) => {
    const { tensor, low } = int64([rows.length, pieces]);
    rows.forEach(({ text }, row) => {
      const at = row * pieces;
      for (let i = 0; i < text.pieces; i++) low[2 * (at + i)] = text.inputIds[i] as number;
      for (let i = text.pieces; i < pieces; i++) low[2 * (at + i)] = text.padId;
    });
    return tensor;
  },
  attention_mask: ({ rows, pieces }) => {
    const { tensor, low } = int64([rows.length, pieces]);
    rows.forEach(({ text }, row) => {
      for (let i = 0; i < text.pieces; i++) low[2 * (row * pieces + i)] = 1;
    });
    return tensor;
  },
  token_type_ids: ({ rows, pieces }) => {
    const { tensor, low } = int64([rows.length, pieces]);
    rows.forEach(({ text }, row) => {
      for (let i = text.ownPieces; i < text.pieces; i++) low[2 * (row * pieces + i)] = 1;
    });
    return tensor;
  },
  word_of: ({ rows, pieces }) => {
    const { tensor, low } = int64([rows.length, pieces]);
    rows.forEach(({ text }, row) => {
      copy(text.wordOf, low, row * pieces);
    });
    return tensor;
  },
  first: ({ rows, words }) => {
    const { tensor, low } = int64([rows.length, words]);
    rows.forEach(({ text }, row) => {
      copy(text.first, low, row * words);
    });
    return tensor;
  },
  chars: ({ rows, words, size }) => {
    const { tensor, low } = int64([rows.length, words, size]);
    rows.forEach(({ text }, row) => {
      copy(text.chars, low, row * words * size);
    });
    return tensor;
  },
  flags: ({ rows, words, size }) => {
    const data = new Float32Array(rows.length * words * size);
    rows.forEach(({ text }, row) => {
      data.set(text.flags, row * words * size);
    });
    return { type: 'float32', data, dims: [rows.length, words, size] };
  },
  neighbours: ({ rows, words, size }) => {
    const { tensor, low } = int64([rows.length, words, size]);
    rows.forEach(({ text }, row) => {
      copy(text.neighbours, low, row * words * size);
    });
    return tensor;
  },
  neighbour_weights: ({ rows, words, size }) => {
    const data = new Float32Array(rows.length * words * size);
    rows.forEach(({ text }, row) => {
      data.set(text.neighbourWeights, row * words * size);
    });
    return { type: 'float32', data, dims: [rows.length, words, size] };
  },
  image: ({ rows }) => ({
    type: 'float32',
    data: Float32Array.from(rows, ({ picture }) => (picture ? 1 : 0)),
    dims: [rows.length],
  }),
  grid: (extent) => bits(extent, 'grid'),
  embedding: (extent) => bits(extent, 'embedding'),
  boxes: ({ rows, size }) => {
    const data = new Float32Array(rows.length * size);
    each(rows, 'objects', size / 4, (object, row, place) => data.set(object.box, row * size + place * 4));
    return { type: 'float32', data, dims: [rows.length, size / 4, 4] };
  },
  object_classes: ({ rows, size }) => {
    const { tensor, low } = int64([rows.length, size]);
    each(rows, 'objects', size, (object, row, place) => {
      low[2 * (row * size + place)] = object.class + 1;
    });
    return tensor;
  },
  object_scores: ({ rows, size }) => {
    const data = new Float32Array(rows.length * size);
    each(rows, 'objects', size, (object, row, place) => {
      data[row * size + place] = object.score;
    });
    return { type: 'float32', data, dims: [rows.length, size] };
  },
  tags: ({ rows, size }) => {
    const { tensor, low } = int64([rows.length, size]);
    each(rows, 'tags', size, ({ tag }, row, place) => {
      low[2 * (row * size + place)] = tag + 1;
    });
    return tensor;
  },
  tag_scores: ({ rows, size }) => {
    const data = new Float32Array(rows.length * size);
    each(rows, 'tags', size, ({ score }, row, place) => {
      data[row * size + place] = score;
    });
    return { type: 'float32', data, dims: [rows.length, size] };
  },
};

/**
 * @param head index of the output layer to read
 * @throws MnerError `bad_bundle` when the bundle lists an input that nobody knows
 */
export function createFeeds(manifest: NerManifest, head: number): Feeds {
  const inputs = Object.entries(manifest.inputs).map(([name, { shape }]) => {
    if (!Object.hasOwn(INPUT_TABLE, name)) {
      throw new MnerError('bad_bundle', `The bundle ${manifest.name} wants an unknown input: ${name}.`);
    }
    const fill = FILLS[name as InputName];
    const fixed = shape.filter((dimension) => typeof dimension === 'number');
    return { name, shape, fill, size: fixed.reduce((product, dimension) => product * dimension, 1) };
  });
  const labels = manifest.labels.length;

  return {
    pack(rows) {
      let pieces = 0;
      let words = 0;
      for (const { text } of rows) {
        pieces = Math.max(pieces, text.pieces);
        words = Math.max(words, text.words);
      }
      const tensors: Record<string, Tensor> = {};
      for (const { name, shape, fill, size } of inputs) {
        const tensor = fill({ rows, pieces, words, size });
        // What the manifest fixes beyond the row is the shape that the graph wants, also where a fill flattens it.
        const dims = shape.map((dimension, i) => (typeof dimension === 'number' ? dimension : (tensor.dims[i] ?? 1)));
        tensors[name] = { ...tensor, dims };
      }
      return tensors;
    },
    split(rows, outputs) {
      const emissions = floats(outputs, 'emissions');
      const relevance = outputs.relevance && floats(outputs, 'relevance').data;
      const regions = outputs.regions && floats(outputs, 'regions');
      const [, words = 0, heads = 1] = emissions.dims;
      const parts = regions?.dims[1] ?? 0;
      return rows.map((row, i) => {
        const result: RowResult = {
          emissions: new Float32Array(row.text.words * labels),
          relevance: row.picture && relevance ? (relevance[i] as number) : null,
          regions: row.picture && regions ? regions.data.slice(i * parts, (i + 1) * parts) : null,
        };
        for (let word = 0; word < row.text.words; word++) {
          const at = ((i * words + word) * heads + head) * labels;
          for (let label = 0; label < labels; label++) {
            result.emissions[word * labels + label] = emissions.data[at + label] as number;
          }
        }
        if (isSound(result)) return result;
        return new MnerError('inference_poison', `${manifest.name} gives no number for this tweet.`);
      });
    },
  };
}

/** An int64 tensor of zeros, and its low halves as 32-bit numbers: writing BigInts one by one is 20 times slower. */
function int64(dims: readonly number[]): { tensor: Tensor; low: Int32Array } {
  const data = new BigInt64Array(dims.reduce((product, dimension) => product * dimension, 1));
  return { tensor: { type: 'int64', data, dims }, low: new Int32Array(data.buffer) };
}

function copy(from: ArrayLike<number>, low: Int32Array, at: number): void {
  for (let i = 0; i < from.length; i++) low[2 * (at + i)] = from[i] as number;
}

function bits({ rows, size }: Extent, name: 'grid' | 'embedding'): Tensor {
  const data = new Uint16Array(rows.length * size);
  rows.forEach(({ picture }, row) => {
    if (!picture) return;
    const values = picture[name];
    if (values.length !== size) {
      throw new MnerError('internal', `A picture's ${name} has ${values.length} values where the model wants ${size}.`);
    }
    data.set(values, row * size);
  });
  return { type: 'float16', data, dims: [rows.length, size] };
}

/** Visits the best objects or tags of each picture, `most` at most. */
function each<List extends 'objects' | 'tags'>(
  rows: readonly Row[],
  list: List,
  most: number,
  visit: (one: PictureInput[List][number], row: number, place: number) => void,
): void {
  rows.forEach(({ picture }, row) => {
    picture?.[list].slice(0, most).forEach((one, place) => {
      visit(one, row, place);
    });
  });
}

function floats(outputs: Tensors, name: string): Extract<Tensor, { type: 'float32' }> {
  const tensor = outputs[name];
  if (tensor?.type !== 'float32') throw new MnerError('bad_bundle', `The graph gives no float32 ${name}.`);
  return tensor;
}

function isSound({ emissions, relevance, regions }: RowResult): boolean {
  // NaN and infinity survive a sum of differences with themselves, so one comparison at the end is enough.
  let sum = relevance === null ? 0 : relevance - relevance;
  for (let i = 0; i < emissions.length; i++) sum += (emissions[i] as number) - (emissions[i] as number);
  if (regions) for (const weight of regions) sum += weight - weight;
  return sum === 0;
}
