/** Flags of a word: what an uncased encoder cannot see (docs/bundles.md, "Flags"). */
export const FLAGS = 26;

const BLANK = '□';
const URL = /^(?:[hH][tT][tT][pP][sS]?:|[wW][wW][wW]\.|[hH][tT][tT][pP](?![A-Za-z0-9_]))/;
const UPPER = /\p{Lu}/u;
const LOWER = /\p{Ll}/u;
const TITLE = /\p{Lt}/u;
const CAPITAL = /^[\p{Lu}\p{Lt}]/u;
const CAMEL = /[a-z][A-Z]/;
const DIGIT = /\p{Nd}/u;
const DIGITS = /^\p{Nd}+$/u;
const LETTER = /\p{L}/u;
const LETTER_OR_NUMBER = /[\p{L}\p{N}]/u;
const BEYOND_2000 = /[\u2001-\uffff]/;
const SIGNS = /^[#@]+/;

/** The word itself, or `□` for one that holds nothing but white space. */
export function readBlank(word: string): string {
  return word.trim() === '' ? BLANK : word;
}

export function isUrl(word: string): boolean {
  return URL.test(word);
}

// Flags 0 to 10 take bits 0 to 10 of a word's traits; these follow them.
const RETWEET = 1 << 11;
const HIGH = 1 << 12;
const LONG = 1 << 13;
const POSSESSIVE = 1 << 14;
const AT = 1 << 15;
const HASH = 1 << 16;
const ENDS_SENTENCE = 1 << 17;
const STARTS_CAPITAL = 1 << 18;
const IS_S = 1 << 19;
const ALL_UPPER = 1 << 20;
const COUNTS = 1 << 21;

const ENDS = new Set(['.', '!', '?', ':', '…', '|', '-']);

/** All that the flags need to know of a word by itself, as bits: computed once per word, and kept with it. */
export function traitsOf(raw: string): number {
  const word = readBlank(raw);
  const core = word.replace(SIGNS, '');
  const coreUpper = isUpper(core);
  const single = isSingle(core);
  const url = isUrl(word);
  const sign = word.startsWith('#') || word.startsWith('@');
  return (
    bit(0, LOWER.test(core) && !UPPER.test(core) && !TITLE.test(core)) |
    bit(1, CAPITAL.test(core) && !coreUpper) |
    bit(2, coreUpper && !single) |
    bit(3, coreUpper && single) |
    bit(4, CAMEL.test(core)) |
    bit(5, DIGIT.test(word)) |
    bit(6, DIGITS.test(word)) |
    bit(7, !LETTER_OR_NUMBER.test(word)) |
    bit(8, word.startsWith('#')) |
    bit(9, word.startsWith('@')) |
    bit(10, url) |
    (word === 'RT' ? RETWEET : 0) |
    (BEYOND_2000.test(word) ? HIGH : 0) |
    (isLong(word) ? LONG : 0) |
    (word.endsWith("'s") ? POSSESSIVE : 0) |
    (word === '@' ? AT : 0) |
    (word === '#' ? HASH : 0) |
    (ENDS.has(word) ? ENDS_SENTENCE : 0) |
    (CAPITAL.test(word) ? STARTS_CAPITAL : 0) |
    (word === "'s" || word === '’s' ? IS_S : 0) |
    (isUpper(word) ? ALL_UPPER : 0) |
    (LETTER.test(word) && !sign && !url && word !== 'RT' ? COUNTS : 0)
  );
}

/** Writes the flags of a tweet's words, row by row. @param traits of each word @param into [words, 26] */
export function writeFlags(traits: Int32Array, into: Float32Array): void {
  const words = traits.length;
  let counted = 0;
  let upper = 0;
  let capital = 0;
  for (let i = 0; i < words; i++) {
    const own = traits[i] as number;
    if ((own & COUNTS) === 0) continue;
    counted++;
    if (own & ALL_UPPER) upper++;
    if (own & STARTS_CAPITAL) capital++;
  }
  const upperShare = upper / Math.max(1, counted);
  const capitalShare = capital / Math.max(1, counted);
  for (let i = 0; i < words; i++) {
    const own = traits[i] as number;
    const before = i > 0 ? (traits[i - 1] as number) : 0;
    const after = i + 1 < words ? (traits[i + 1] as number) : 0;
    const at = i * FLAGS;
    for (let flag = 0; flag <= 10; flag++) into[at + flag] = (own >> flag) & 1;
    into[at + 11] = flagged(before, AT);
    into[at + 12] = flagged(before, HASH);
    into[at + 13] = i === 0 ? 1 : 0;
    into[at + 14] = flagged(before, ENDS_SENTENCE);
    into[at + 15] = flagged(before, STARTS_CAPITAL);
    into[at + 16] = flagged(after, STARTS_CAPITAL);
    into[at + 17] = flagged(own, RETWEET);
    into[at + 18] = flagged(own, HIGH);
    into[at + 19] = flagged(own, LONG);
    into[at + 20] = flagged(own, POSSESSIVE) | flagged(after, IS_S);
    into[at + 21] = upperShare > 0.6 ? 1 : 0;
    into[at + 22] = capitalShare > 0.6 ? 1 : 0;
    into[at + 23] = capitalShare < 0.12 ? 1 : 0;
    into[at + 24] = upperShare;
    into[at + 25] = capitalShare;
  }
}

function bit(place: number, on: boolean): number {
  return on ? 1 << place : 0;
}

function flagged(traits: number, flag: number): number {
  return traits & flag ? 1 : 0;
}

function isUpper(word: string): boolean {
  return UPPER.test(word) && !LOWER.test(word) && !TITLE.test(word);
}

/** Whether the word is one code point. */
function isSingle(word: string): boolean {
  return word.length === 1 || (word.length === 2 && (word.codePointAt(0) as number) > 0xffff);
}

/** Whether the word has more than ten code points. */
function isLong(word: string): boolean {
  if (word.length <= 10) return false;
  let count = 0;
  for (const _ of word) if (++count > 10) return true;
  return false;
}
