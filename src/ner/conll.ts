import type { Chunk } from './crf.js';
import type { Place } from './spans.js';

/** A labelled tweet of a CoNLL file. */
export interface LabelledTweet {
  /** From the `IMGID:` line before it. */
  readonly imageId: string | null;
  /** As they stand in the file; a blank word is kept, since every label counts. */
  readonly words: readonly string[];
  /** BIO over PER, LOC, ORG and MISC. */
  readonly labels: readonly string[];
}

/** How corpora spell the four types; any other type is read as `O`. */
const SPELLINGS: Readonly<Record<string, string>> = {
  PER: 'PER',
  LOC: 'LOC',
  ORG: 'ORG',
  MISC: 'MISC',
  OTHER: 'MISC',
  person: 'PER',
  location: 'LOC',
  corporation: 'ORG',
  group: 'ORG',
  'creative-work': 'MISC',
  product: 'MISC',
};

/** Reads a CoNLL file: word first and label last on each line, an empty line between tweets. */
export function readConll(content: string): LabelledTweet[] {
  const tweets: LabelledTweet[] = [];
  let imageId: string | null = null;
  let words: string[] = [];
  let labels: string[] = [];
  const close = () => {
    if (words.length > 0) tweets.push({ imageId, words, labels });
    imageId = null;
    words = [];
    labels = [];
  };
  for (const line of content.split(/\r?\n/)) {
    if (line.startsWith('IMGID:')) {
      close();
      imageId = line.slice(6).trim();
    } else if (line.trim() === '' || line.startsWith('-DOCSTART-')) {
      close();
    } else {
      const columns = line.includes('\t') ? line.split('\t') : line.split(' ');
      words.push(columns[0] as string);
      labels.push(toLabel((columns.at(-1) as string).trim()));
    }
  }
  close();
  return tweets;
}

function toLabel(label: string): string {
  const type = SPELLINGS[label.slice(2)];
  return type !== undefined && /^[BI]-/.test(label) ? `${label[0]}-${type}` : 'O';
}

/** How a file treats `@name`: `entity` where lone `@` tokens precede words, as in Twitter-2017. Decided once per file. */
export function detectMentions(tweets: readonly LabelledTweet[]): 'ignore' | 'entity' {
  let lone = 0;
  let whole = 0;
  for (const { words } of tweets) {
    words.forEach((word, i) => {
      if (word === '@' && /^[\p{L}\p{N}_]/u.test(words[i + 1] ?? '')) lone++;
      else if (/^@[A-Za-z0-9_]/.test(word)) whole++;
    });
  }
  return lone > whole ? 'entity' : 'ignore';
}

/** A tweet's text from its words, one space between them, and where each word stands in it: for reading it as if it came raw. */
export function joinWords(words: readonly string[]): { text: string; places: Place[] } {
  let start = 0;
  const places = words.map((word) => {
    const place = { start, end: start + word.length };
    start = place.end + 1;
    return place;
  });
  return { text: words.join(' '), places };
}

/** Chunks of words as stretches of the text, so that two ways of cutting it into words can be held against each other. */
export function toStretches(chunks: readonly Chunk[], places: readonly Place[]): Chunk[] {
  return chunks.map(({ type, from, to }) => ({
    type,
    from: (places[from] as Place).start,
    to: (places[to - 1] as Place).end,
  }));
}
