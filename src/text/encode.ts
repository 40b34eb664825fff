import { LRUCache } from 'lru-cache';
import type { EncodedRow } from '../inference/row.js';
import { createCharacters } from './characters.js';
import { FLAGS, traitsOf, writeFlags } from './flags.js';
import { createPieces } from './pieces.js';

/** The part of a manifest that says how words become numbers (docs/bundles.md). */
export interface TextSettings {
  readonly max_pieces: number;
  readonly pieces_per_word: number;
  readonly pieces_per_mention: number;
  readonly chars_per_word: number;
  readonly alphabet: string;
}

/** One reading of at most `max_pieces` pieces. Words are counted over the whole tweet. */
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
  /** The parsed `tokenizer.json`. */
  readonly tokenizer: object;
  readonly settings: TextSettings;
  /** Words whose numbers are kept. @default 50000 */
  readonly cachedWords?: number;
}

export interface Encoder {
  encode(words: readonly string[]): EncodedTweet;
}

interface KnownWord {
  readonly ids: readonly number[];
  readonly chars: Uint8Array;
  readonly traits: number;
}

/** Longer words are rare and each is another one: not worth keeping. */
const LONGEST_CACHED = 64;

/** @throws MnerError `bad_bundle` when the tokenizer cannot be read */
export function createEncoder({ tokenizer, settings, cachedWords = 50_000 }: EncoderOptions): Encoder {
  const pieces = createPieces(tokenizer, {
    perWord: settings.pieces_per_word,
    perMention: settings.pieces_per_mention,
  });
  const characters = createCharacters(settings.alphabet, settings.chars_per_word);
  const known = new LRUCache<string, KnownWord>({ max: cachedWords });
  /** Pieces of a window besides `[CLS]` and `[SEP]`. */
  const room = settings.max_pieces - 2;

  const look = (word: string): KnownWord => {
    const found = known.get(word);
    if (found) return found;
    const fresh = { ids: pieces.ofWord(word), chars: characters(word), traits: traitsOf(word) };
    if (word.length <= LONGEST_CACHED) known.set(word, fresh);
    return fresh;
  };

  const encodeWindow = (
    words: readonly KnownWord[],
    flags: Float32Array,
    { from, to, keepFrom, keepTo }: WindowPlan,
  ): EncodedWindow => {
    const count = to - from;
    let length = 2;
    for (let i = from; i < to; i++) length += (words[i] as KnownWord).ids.length;
    const inputIds = new Int32Array(length);
    const wordOf = new Int32Array(length);
    const first = new Int32Array(count);
    const chars = new Uint8Array(count * settings.chars_per_word);
    inputIds[0] = pieces.cls;
    let at = 1;
    for (let i = 0; i < count; i++) {
      const word = words[from + i] as KnownWord;
      first[i] = at;
      chars.set(word.chars, i * settings.chars_per_word);
      for (const id of word.ids) {
        inputIds[at] = id;
        wordOf[at++] = i + 1;
      }
    }
    inputIds[at] = pieces.sep;
    return {
      from,
      keepFrom,
      keepTo,
      pieces: length,
      words: count,
      padId: pieces.pad,
      inputIds,
      wordOf,
      first,
      chars,
      flags: flags.subarray(from * FLAGS, to * FLAGS),
    };
  };

  return {
    encode(words) {
      const looked = words.map(look);
      const traits = new Int32Array(looked.length);
      for (let i = 0; i < looked.length; i++) traits[i] = (looked[i] as KnownWord).traits;
      const flags = new Float32Array(looked.length * FLAGS);
      writeFlags(traits, flags);
      const plan = planWindows(
        looked.map((word) => word.ids.length),
        room,
      );
      return { words: words.length, windows: plan.map((window) => encodeWindow(looked, flags, window)) };
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
