import { MnerError } from '../errors.js';

/** No shape of a tweet is nested more deeply than this. */
const MAX_DEPTH = 64;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/**
 * Bytes of JSON to a value. Refuses deep nesting before it parses, and keeps the digits of ids that are JSON numbers,
 * which a double would round.
 *
 * @throws MnerError `bad_utf8`, `too_deep`, `bad_json`
 */
export function parseJson(bytes: Uint8Array): unknown {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new MnerError('bad_utf8');
  }
  if (depthExceeds(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), MAX_DEPTH)) {
    throw new MnerError('too_deep', `The JSON is nested more than ${MAX_DEPTH} levels deep.`);
  }
  try {
    return JSON.parse(keepDigits(text));
  } catch {
    // The parser's own message quotes the text, and a tweet's text never enters an error.
    throw new MnerError('bad_json');
  }
}

/** Whether brackets outside strings nest deeper than `limit`. Strings are jumped over, so inline pictures cost little. */
function depthExceeds(bytes: Buffer, limit: number): boolean {
  let depth = 0;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i];
    if (byte === QUOTE) {
      i = endOfString(bytes, i);
      if (i < 0) return false;
    } else if (byte === 0x7b || byte === 0x5b) {
      if (++depth > limit) return true;
    } else if (byte === 0x7d || byte === 0x5d) {
      depth--;
    }
  }
  return false;
}

/** Position of the quote that ends the string which begins at `start`, or -1. */
function endOfString(bytes: Buffer, start: number): number {
  let end = bytes.indexOf(QUOTE, start + 1);
  while (end > 0) {
    let escapes = 0;
    while (bytes[end - 1 - escapes] === BACKSLASH) escapes++;
    if (escapes % 2 === 0) return end;
    end = bytes.indexOf(QUOTE, end + 1);
  }
  return -1;
}

/**
 * Puts quotes around ids that are long numbers. In valid JSON the pattern can only match a key: a quote inside a string
 * is escaped, and no name can follow a closing quote. What is not valid stays invalid.
 */
function keepDigits(text: string): string {
  return text.replace(/([{,]\s*"(?:id|author_id)"\s*:\s*)(\d{16,})(?=\s*[,}])/g, '$1"$2"');
}
