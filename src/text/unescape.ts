/** A tweet's text as people read it, and where each of its UTF-16 units came from. */
export interface Unescaped {
  readonly text: string;
  /** For each unit of `text`, and for its end, the unit of the raw text where it begins; null where the two are the same. */
  readonly origin: Int32Array | null;
}

const ENTITY = /&(?:amp|lt|gt);/g;
const MEANING: Readonly<Record<string, string>> = { '&amp;': '&', '&lt;': '<', '&gt;': '>' };

/** Reads `&amp;`, `&lt;` and `&gt;`, the three that X escapes, and no others. `&amp;lt;` is read once, as `&lt;`. */
export function unescapeEntities(raw: string): Unescaped {
  // Most tweets have no ampersand: nothing to map.
  if (!raw.includes('&')) return { text: raw, origin: null };
  const origin = new Int32Array(raw.length + 1);
  let text = '';
  let read = 0;
  for (const found of raw.matchAll(ENTITY)) {
    for (let i = read; i < found.index; i++) origin[text.length + i - read] = i;
    text += raw.slice(read, found.index);
    origin[text.length] = found.index;
    text += MEANING[found[0]];
    read = found.index + found[0].length;
  }
  if (read === 0) return { text: raw, origin: null };
  for (let i = read; i <= raw.length; i++) origin[text.length + i - read] = i;
  text += raw.slice(read);
  return { text, origin: origin.subarray(0, text.length + 1) };
}
