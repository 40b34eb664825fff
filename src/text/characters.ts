import { readBlank } from './flags.js';

const LETTER = /\p{L}/u;

/** Codes of a word's characters: at most `length`, 0 as padding (docs/bundles.md, "Characters"). */
export type Characters = (word: string) => Uint8Array;

/** @param length characters per word: of a longer one, the first five eighths and the last three eighths count */
export function createCharacters(alphabet: string, length: number): Characters {
  const places = new Map([...alphabet].map((char, place) => [char, place + 2]));
  const letter = places.size + 2;
  const other = places.size + 3;
  const tail = Math.floor((length * 3) / 8);
  const head = length - tail;
  return (word) => {
    const chars = [...readBlank(word)];
    const kept = chars.length > length ? [...chars.slice(0, head), ...chars.slice(-tail)] : chars;
    const codes = new Uint8Array(length);
    for (let i = 0; i < kept.length; i++) {
      const char = kept[i] as string;
      codes[i] = places.get(char) ?? (LETTER.test(char) ? letter : other);
    }
    return codes;
  };
}
