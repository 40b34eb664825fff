import { Tokenizer } from '@huggingface/tokenizers';
import { MnerError } from '../errors.js';
import { isUrl, readBlank } from './flags.js';

/** How many pieces a word may have. */
export interface PieceLimits {
  readonly perWord: number;
  readonly perMention: number;
}

/** WordPiece over single words, with the preparation that hashtags, mentions and links need (docs/bundles.md, "Pieces"). */
export interface Pieces {
  readonly pad: number;
  readonly cls: number;
  readonly sep: number;
  /** Ids of a word's pieces, at least one. */
  ofWord(word: string): readonly number[];
  /** Ids of all pieces of a text, each part between spaces prepared as a word is; there may be none. */
  ofText(text: string): readonly number[];
}

/** For a model that reads no pieces: what it costs to read a text is still counted in them, one for a word. */
export const WORD_BY_WORD: Pieces = { pad: 0, cls: 0, sep: 0, ofWord: () => [0], ofText: () => [] };

/** JavaScript lower-cases a Σ at a word's end to ς, by context; the tokenizer that the model learned with knows only σ. */
const CAPITAL_SIGMA = /Σ/g;
const CAMEL = /[a-z][A-Z]/;
const PARTS = /[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+|[^A-Za-z0-9]+/gu;

/**
 * @param tokenizer the parsed `tokenizer.json`
 * @throws MnerError `bad_bundle`
 */
export function createPieces(tokenizer: object, limits: PieceLimits): Pieces {
  let wordPiece: Tokenizer;
  try {
    wordPiece = new Tokenizer(tokenizer, {});
  } catch (error) {
    throw new MnerError('bad_bundle', 'tokenizer.json holds no tokenizer that can be read.', { cause: error });
  }
  const idOf = (token: string): number => {
    const id = wordPiece.token_to_id(token);
    if (id === undefined) throw new MnerError('bad_bundle', `tokenizer.json has no ${token}.`);
    return id;
  };
  const unknown = [idOf('[UNK]')];
  const idsOf = (part: string): readonly number[] =>
    wordPiece.encode(prepare(part).replace(CAPITAL_SIGMA, 'σ'), { add_special_tokens: false }).ids;
  return {
    pad: idOf('[PAD]'),
    cls: idOf('[CLS]'),
    sep: idOf('[SEP]'),
    ofWord(word) {
      const limit = word.startsWith('@') ? limits.perMention : limits.perWord;
      const ids = idsOf(readBlank(word));
      if (ids.length === 0) return unknown;
      return ids.length > limit ? ids.slice(0, limit) : ids;
    },
    ofText: (text) => text.split(' ').flatMap((part) => (part === '' ? [] : idsOf(part))),
  };
}

function prepare(word: string): string {
  if (isUrl(word)) return 'http';
  if (word.startsWith('#') || word.startsWith('@') || CAMEL.test(word)) return word.match(PARTS)?.join(' ') ?? word;
  return word;
}
