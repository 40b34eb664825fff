import type { Chunk } from './crf.js';

/** Where a word stands in the raw text, in UTF-16 units. */
export interface Place {
  readonly start: number;
  readonly end: number;
}

/** An entity in the raw text. */
export interface Entity {
  readonly type: string;
  /** The exact slice of the raw text. */
  readonly text: string;
  /** In Unicode code points, as X counts. */
  readonly start: number;
  readonly end: number;
  /** The same in UTF-16 units, as JavaScript and Java count. */
  readonly utf16: readonly [start: number, end: number];
  /** Probability of exactly this span, 0 to 1. */
  readonly confidence: number;
}

/**
 * BIO labels to chunks. An `I-X` that continues no X starts a chunk when `lenient`, as published Twitter-2015 scores count, and is
 * dropped otherwise.
 *
 * @param lenient @default true
 */
export function chunksOf(labels: readonly string[], lenient = true): Chunk[] {
  const chunks: Chunk[] = [];
  let type: string | null = null;
  let from = 0;
  for (let i = 0; i <= labels.length; i++) {
    const label = labels[i] ?? 'O';
    if (type !== null && label === `I-${type}`) continue;
    if (type !== null) chunks.push({ type, from, to: i });
    type = label.startsWith('B-') || (lenient && label.startsWith('I-')) ? label.slice(2) : null;
    from = i;
  }
  return chunks;
}

/** Gives chunks their place in the raw text. */
export function placeChunks(
  chunks: readonly Chunk[],
  confidences: readonly number[],
  words: readonly Place[],
  text: string,
): Entity[] {
  // Chunks come in the order of the text, so one walk counts the code points for all of them.
  let unit = 0;
  let point = 0;
  const pointAt = (target: number): number => {
    while (unit < target) {
      unit += (text.codePointAt(unit) as number) > 0xffff ? 2 : 1;
      point++;
    }
    return point;
  };
  return chunks.map(({ type, from, to }, i) => {
    const first = (words[from] as Place).start;
    const last = (words[to - 1] as Place).end;
    const start = pointAt(first);
    return {
      type,
      text: text.slice(first, last),
      start,
      end: pointAt(last),
      utf16: [first, last],
      confidence: confidences[i] as number,
    };
  });
}

/** Unicode code points of a text; a lone surrogate counts as one. */
export function codePoints(text: string): number {
  let count = 0;
  for (let i = 0; i < text.length; i++) {
    if ((text.codePointAt(i) as number) > 0xffff) i++;
    count++;
  }
  return count;
}
