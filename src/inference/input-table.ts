import type { TensorData } from './port.js';

/** What a dimension of an input is: left open by name, a number that all bundles share, or one that each bundle fixes for itself, within a bound. */
type Axis = 'batch' | 'pieces' | 'words' | number | { readonly upTo: number };

interface InputKind {
  readonly type: TensorData['type'];
  readonly shape: readonly Axis[];
  /** Whether it is made of a picture: a bundle without any such input has none fetched. */
  readonly picture?: true;
  /** Whether it counts pieces without being as long as they are. */
  readonly pieces?: true;
}

const ANY: Axis = { upTo: Number.MAX_SAFE_INTEGER };
/** As many as the worker keeps of a picture (docs/bundles.md). */
const OBJECTS: Axis = { upTo: 5 };
const TAGS: Axis = { upTo: 10 };

/** Neighbours of a word that a table holds. */
export const NEIGHBOURS = 4;

/** Every input that a bundle of kind `ner` may list, as docs/bundles.md has them. */
export const INPUT_TABLE = {
  input_ids: { type: 'int64', shape: ['batch', 'pieces'] },
  attention_mask: { type: 'int64', shape: ['batch', 'pieces'] },
  token_type_ids: { type: 'int64', shape: ['batch', 'pieces'] },
  word_of: { type: 'int64', shape: ['batch', 'pieces'] },
  first: { type: 'int64', shape: ['batch', 'words'], pieces: true },
  chars: { type: 'int64', shape: ['batch', 'words', ANY] },
  flags: { type: 'float32', shape: ['batch', 'words', 26] },
  neighbours: { type: 'int64', shape: ['batch', 'words', NEIGHBOURS] },
  neighbour_weights: { type: 'float32', shape: ['batch', 'words', NEIGHBOURS] },
  image: { type: 'float32', shape: ['batch'], picture: true },
  grid: { type: 'float16', shape: ['batch', ANY, ANY], picture: true },
  embedding: { type: 'float16', shape: ['batch', ANY], picture: true },
  boxes: { type: 'float32', shape: ['batch', OBJECTS, 4], picture: true },
  object_classes: { type: 'int64', shape: ['batch', OBJECTS], picture: true },
  object_scores: { type: 'float32', shape: ['batch', OBJECTS], picture: true },
  tags: { type: 'int64', shape: ['batch', TAGS], picture: true },
  tag_scores: { type: 'float32', shape: ['batch', TAGS], picture: true },
} as const satisfies Readonly<Record<string, InputKind>>;

export type InputName = keyof typeof INPUT_TABLE;

const KINDS: Readonly<Record<string, InputKind>> = INPUT_TABLE;

/** Whether an input is made of a picture. */
export function isOfPicture(input: string): boolean {
  return kindOf(input)?.picture === true;
}

/** Whether an input says something of pieces: a bundle without any such input needs no tokenizer. */
export function isOfPieces(input: string): boolean {
  const kind = kindOf(input);
  return kind?.pieces === true || kind?.shape.includes('pieces') === true;
}

/** What is wrong with an input as a manifest lists it, as the end of a sentence; null where nothing is. */
export function problemOfInput(
  name: string,
  { type, shape }: { readonly type: string; readonly shape: readonly (number | string)[] },
): string | null {
  const kind = kindOf(name);
  if (!kind) return `nobody knows this input; there is ${Object.keys(INPUT_TABLE).join(', ')}`;
  if (type !== kind.type) return `is ${kind.type}, not ${type}`;
  const fits = shape.length === kind.shape.length && kind.shape.every((axis, i) => fitsAxis(shape[i], axis));
  return fits ? null : `has the shape [${kind.shape.map(nameOfAxis).join(', ')}], not [${shape.join(', ')}]`;
}

function kindOf(name: string): InputKind | undefined {
  return Object.hasOwn(KINDS, name) ? KINDS[name] : undefined;
}

function fitsAxis(size: number | string | undefined, axis: Axis): boolean {
  if (typeof axis === 'string') return typeof size === 'string';
  if (typeof size !== 'number') return false;
  return typeof axis === 'number' ? size === axis : size <= axis.upTo;
}

function nameOfAxis(axis: Axis): string {
  if (typeof axis !== 'object') return String(axis);
  return axis.upTo === Number.MAX_SAFE_INTEGER ? 'a number' : `at most ${axis.upTo}`;
}
