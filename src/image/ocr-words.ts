/** Code points of the words of one picture; what stands after them is cut off, at a word's end where there is one. */
export const MAX_WORDS_LENGTH = 300;
/** In percent. What the engine sees in noise, leaves and fur stays below. */
const MIN_CONFIDENCE = 60;
/** Columns of tesseract's TSV. */
const [LEVEL, CONFIDENCE, TEXT] = [0, 10, 11];
const WORD_LEVEL = '5';

/** The words that the engine is sure of, in its order, with a space between them. */
export function wordsOfTsv(tsv: string): string {
  const words = tsv.split('\n').flatMap((line) => {
    const fields = line.split('\t');
    const word = fields[TEXT]?.trim() ?? '';
    const sure = fields[LEVEL] === WORD_LEVEL && Number(fields[CONFIDENCE]) >= MIN_CONFIDENCE;
    // Edges of things are read as dashes, bars and single letters, and with confidence.
    return sure && /[\p{L}\p{N}].*[\p{L}\p{N}]/u.test(word) ? [word] : [];
  });
  return tidyWords(words.join(' '));
}

/** One line without control characters, single spaces between words, {@link MAX_WORDS_LENGTH} code points at most. */
export function tidyWords(text: string): string {
  // Long before it is taken apart: nobody promises how long it is.
  const line = text
    .slice(0, 8 * MAX_WORDS_LENGTH)
    .replace(/[\s\p{C}]+/gu, ' ')
    .trim();
  const points = [...line];
  if (points.length <= MAX_WORDS_LENGTH) return line;
  const cut = points.slice(0, MAX_WORDS_LENGTH).join('');
  if (points[MAX_WORDS_LENGTH] === ' ') return cut;
  const end = cut.lastIndexOf(' ');
  return end > 0 ? cut.slice(0, end) : cut;
}
