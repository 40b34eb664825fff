import { LRUCache } from 'lru-cache';
import { NEIGHBOURS } from '../inference/input-table.js';
import type { NerManifest } from '../inference/manifest.js';
import type { EncodedRow } from '../inference/row.js';
import { createCharacters } from './characters.js';
import { FLAGS, traitsOf, writeFlags } from './flags.js';
import type { Neighbours } from './neighbours.js';
import { createPieces, WORD_BY_WORD } from './pieces.js';

/** The part of a manifest that says how words become numbers (docs/bundles.md). */
export type TextSettings = NerManifest['text'];

/** One reading of at most `max_pieces` pieces, its context not counted. Words are counted over the whole tweet. */
export interface EncodedWindow extends EncodedRow {
  /** The first word that the window reads. */
  readonly from: number;
  /** The words `keepFrom` to `keepTo` (exclusive) take their results from this window: it shows most of what is around them. */
  readonly keepFrom: number;
  readonly keepTo: number;
}

export interface EncodedTweet {
  readonly words: number;
  /** None for a tweet without words, one for almost all, more for a long text. */
  readonly windows: readonly EncodedWindow[];
}

export interface EncoderOptions {
  /** The parsed `tokenizer.json`; null for a bundle that reads no pieces: each word then counts as one. */
  readonly tokenizer: object | null;
  readonly settings: TextSettings;
  /** Pieces of a row together with its context. @default 512 */
  readonly rowPieces?: number | undefined;
  /** @default the bundle reads none */
  readonly neighbours?: Neighbours | null;
}

export interface Encoder {
  /**
   * @param context what is read after the words, in every window: cut to what they leave of `rowPieces` @default nothing
   */
  encode(words: readonly string[], context?: string): EncodedTweet;
}

interface KnownWord {
  readonly ids: readonly number[];
  readonly chars: Uint8Array;
  readonly traits: number;
  readonly neighbours: Uint32Array;
  readonly weights: Float32Array;
}

const NO_CHARS = new Uint8Array(0);
const NO_FLAGS = new Float32Array(0);

/** Words whose numbers are kept. */
const CACHED_WORDS = 50_000;
/** Longer words are rare and each is another one: not worth keeping. */
const LONGEST_CACHED = 64;

/** @throws MnerError `bad_bundle` when the tokenizer cannot be read */
export function createEncoder(options: EncoderOptions): Encoder {
  const { tokenizer, settings, rowPieces = 512, neighbours = null } = options;
  const limits = { perWord: settings.pieces_per_word, perMention: settings.pieces_per_mention };
  const pieces = tokenizer ? createPieces(tokenizer, limits) : WORD_BY_WORD;
  const { alphabet = '' } = settings;
  const charsPerWord = alphabet === '' ? 0 : (settings.chars_per_word ?? 0);
  const characters = charsPerWord === 0 ? () => NO_CHARS : createCharacters(alphabet, charsPerWord);
  const perWord = neighbours ? NEIGHBOURS : 0;
  const known = new LRUCache<string, KnownWord>({ max: CACHED_WORDS });
  /** Pieces of a window besides `[CLS]` and `[SEP]`. */
  const room = settings.max_pieces - 2;

  const look = (word: string): KnownWord => {
    const found = known.get(word);
    if (found) return found;
    const near = new Uint32Array(perWord);
    const weights = new Float32Array(perWord);
    neighbours?.write(word, near, weights, 0);
    const ids = pieces.ofWord(word);
    const fresh = { ids, chars: characters(word), traits: traitsOf(word), neighbours: near, weights };
    if (word.length <= LONGEST_CACHED) known.set(word, fresh);
    return fresh;
  };

  const encodeWindow = (
    words: readonly KnownWord[],
    flags: Float32Array,
    context: readonly number[],
    { from, to, keepFrom, keepTo }: WindowPlan,
  ): EncodedWindow => {
    const count = to - from;
    let own = 2;
    for (let i = from; i < to; i++) own += (words[i] as KnownWord).ids.length;
    // The tweet is never cut for its context; the context has what is left, and its own [SEP].
    const extra = Math.max(0, Math.min(context.length, rowPieces - own - 1));
    const length = extra === 0 ? own : own + extra + 1;
    const inputIds = new Int32Array(length);
    const wordOf = new Int32Array(length);
    const first = new Int32Array(count);
    const chars = new Uint8Array(count * charsPerWord);
    const near = new Uint32Array(count * perWord);
    const weights = new Float32Array(count * perWord);
    inputIds[0] = pieces.cls;
    let at = 1;
    for (let i = 0; i < count; i++) {
      const word = words[from + i] as KnownWord;
      first[i] = at;
      chars.set(word.chars, i * charsPerWord);
      if (neighbours) {
        near.set(word.neighbours, i * perWord);
        weights.set(word.weights, i * perWord);
      }
      for (const id of word.ids) {
        inputIds[at] = id;
        wordOf[at++] = i + 1;
      }
    }
    inputIds[at] = pieces.sep;
    if (extra > 0) {
      inputIds.set(context.slice(0, extra), own);
      inputIds[length - 1] = pieces.sep;
    }
    return {
      from,
      keepFrom,
      keepTo,
      pieces: length,
      ownPieces: own,
      words: count,
      padId: pieces.pad,
      inputIds,
      wordOf,
      first,
      chars,
      flags: flags.subarray(from * FLAGS, to * FLAGS),
      neighbours: near,
      neighbourWeights: weights,
    };
  };

  return {
    encode(words, context = '') {
      const looked = words.map(look);
      const traits = new Int32Array(looked.length);
      for (let i = 0; i < looked.length; i++) traits[i] = (looked[i] as KnownWord).traits;
      const flags = settings.flags === undefined ? NO_FLAGS : new Float32Array(looked.length * FLAGS);
      if (settings.flags !== undefined) writeFlags(traits, flags);
      const plan = planWindows(
        looked.map((word) => word.ids.length),
        room,
      );
      const beside = context === '' ? [] : pieces.ofText(context);
      return { words: words.length, windows: plan.map((window) => encodeWindow(looked, flags, beside, window)) };
    },
  };
}

export interface WindowPlan {
  readonly from: number;
  readonly to: number;
  readonly keepFrom: number;
  readonly keepTo: number;
}

/**
 * Cuts a text into windows of at most `room` pieces that overlap by about a quarter, so that every word but the outermost
 * is read with an eighth of a window before and after it.
 *
 * @param sizes pieces of each word
 */
export function planWindows(sizes: readonly number[], room: number): WindowPlan[] {
  const spans: { from: number; to: number }[] = [];
  let from = 0;
  while (from < sizes.length) {
    let used = 0;
    let to = from;
    while (to < sizes.length && (to === from || used + (sizes[to] as number) <= room)) used += sizes[to++] as number;
    spans.push({ from, to });
    if (to === sizes.length) break;
    let back = 0;
    let next = to;
    while (next - 1 > from && back + (sizes[next - 1] as number) <= room / 4) back += sizes[--next] as number;
    from = next;
  }
  // The words that two windows share are split in their middle: there both see the same number of words around.
  const middles = spans.slice(1).map((span, i) => Math.ceil((span.from + (spans[i] as { to: number }).to) / 2));
  return spans.map((span, i) => ({
    ...span,
    keepFrom: i === 0 ? 0 : (middles[i - 1] as number),
    keepTo: i === spans.length - 1 ? span.to : (middles[i] as number),
  }));
}
