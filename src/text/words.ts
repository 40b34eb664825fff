import { unescapeEntities } from './unescape.js';

/** A word as the model reads it, and where it stands in the raw text, in UTF-16 units: `start` inclusive, `end` exclusive. */
export interface Word {
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

/**
 * How a tweet is cut into words. `ignore`: `@name` and `#tag` stay whole (Twitter-2015's way). `entity`: `@` and `#` are
 * words of their own, so that the name after them may be an entity (Twitter-2017's way).
 */
export type Mentions = 'ignore' | 'entity';

const LETTERS = String.raw`[\p{L}\p{M}\p{N}_]`;
/** Joiners and soft hyphens, which belong to a word only between two of its letters. */
const JOINER = String.raw`[\u00ad\u200c\u200d\u2060]`;
const URL = String.raw`(?:[hH][tT][tT][pP][sS]?:\/\/|[wW]{3}\.)[^\s\u200b"<>]+`;
/** What is left of a link at the end of a retweet that was cut off. */
const CUT_URL = String.raw`h(?:t(?:t(?:p(?:s?(?::\/{0,2})?)?)?)?)?…(?=\s*$)`;
const KEYCAP = String.raw`[#*0-9]\ufe0f?\u20e3`;
const PICTOGRAPH = String.raw`\p{Extended_Pictographic}(?:\ufe0f|\p{Emoji_Modifier})?(?:[\u{e0020}-\u{e007e}]+\u{e007f})?`;
const EMOJI = String.raw`\p{Regional_Indicator}{2}|${KEYCAP}|${PICTOGRAPH}(?:\u200d${PICTOGRAPH})*`;
/** Any one character that can be seen. */
const OTHER = String.raw`[^\s\p{Cc}\p{Cf}\p{Cs}]`;

/**
 * The two corpora were cut by different tools. Twitter-2015 keeps hyphens, slashes and ampersands inside a word and cuts
 * numbers at their points; Twitter-2017 cuts at every sign and between a number and the letters after it, and keeps points inside
 * numbers. Both make apostrophes, and each sign of a run, words of their own.
 */
const PATTERNS: Readonly<Record<Mentions, RegExp>> = {
  ignore: new RegExp(
    [
      URL,
      CUT_URL,
      KEYCAP,
      '[@＠][A-Za-z0-9_]+',
      `[#＃]${LETTERS}+`,
      String.raw`[wW]\/(?!${LETTERS})`,
      String.raw`${LETTERS}+(?:(?:--?|[\/&]|${JOINER}+)${LETTERS}+)*`,
      String.raw`\$[A-Z]{1,6}(?!${LETTERS})`,
      '&(?:amp|lt|gt)(?![A-Za-z])',
      '-{2,}',
      EMOJI,
      OTHER,
    ].join('|'),
    'gu',
  ),
  entity: new RegExp(
    [
      URL,
      CUT_URL,
      KEYCAP,
      String.raw`\p{Nd}+(?:[.,]\p{Nd}+)*`,
      `${LETTERS}+(?:${JOINER}+${LETTERS}+)*`,
      `(?::-?[()]|:[DOP])(?!${LETTERS})`,
      EMOJI,
      OTHER,
    ].join('|'),
    'gu',
  ),
};

const URL_START = /^(?:[hH][tT][tT][pP][sS]?:\/\/|[wW]{3}\.)/;
/** Signs that end a sentence or close a bracket after a URL rather than belong to it. */
const AFTER_URL = new Set('.,:;!?\'")]}*»”’');

/** Cuts a tweet's raw text into words. Never throws, whatever the text holds. */
export function splitWords(raw: string, mentions: Mentions): Word[] {
  const { text, origin } = unescapeEntities(raw);
  const pattern = PATTERNS[mentions];
  const words: Word[] = [];
  pattern.lastIndex = 0;
  for (let found = pattern.exec(text); found !== null; found = pattern.exec(text)) {
    let word = found[0];
    if (word.length > 4 && URL_START.test(word)) {
      word = withoutTail(word);
      pattern.lastIndex = found.index + word.length;
    }
    const end = found.index + word.length;
    words.push({
      text: word,
      start: origin ? (origin[found.index] as number) : found.index,
      end: origin ? (origin[end] as number) : end,
    });
  }
  return words;
}

function withoutTail(url: string): string {
  // The first letters, `http` or `www.`, stay in any case.
  let end = url.length;
  while (end > 4 && AFTER_URL.has(url[end - 1] as string)) end--;
  return url.slice(0, end);
}
