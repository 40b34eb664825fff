import { MnerError } from '../errors.js';

/** Names whose values never enter a log, whoever sends them. */
const PRIVATE =
  /^(text|full_text|alt_text|altText|value|body|data|key|.*(password|secret|token|credential|authorization).*)$/i;
const MAX_DEPTH = 4;
const MAX_TEXT = 500;
const MAX_ENTRIES = 32;

/** Makes a text fit for a log: no query, fragment or user in a URL, one line, not long. */
export function cleanText(text: string): string {
  const plain = text
    .replace(/\b([a-z][a-z0-9+.-]*:\/\/)[^\s/"'<>]*@/gi, '$1')
    .replace(/\b([a-z][a-z0-9+.-]*:\/\/[^\s?#"'<>]*)[?#][^\s"'<>]*/gi, '$1?…')
    .replace(/[\r\n]+/g, ' ');
  return plain.length > MAX_TEXT ? `${plain.slice(0, MAX_TEXT - 1)}…` : plain;
}

/** Makes the detail of a note fit for a log: private names left out, texts cleaned, depth and width bounded. */
export function cleanDetail(value: unknown, depth = 0): unknown {
  if (typeof value === 'string') return cleanText(value);
  if (typeof value === 'bigint') return String(value);
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Error) return cleanError(value);
  if (ArrayBuffer.isView(value)) return `${value.byteLength} bytes`;
  if (depth >= MAX_DEPTH) return '…';
  if (Array.isArray(value)) return value.slice(0, MAX_ENTRIES).map((entry) => cleanDetail(entry, depth + 1));
  const clean: Record<string, unknown> = {};
  for (const [name, entry] of Object.entries(value).slice(0, MAX_ENTRIES)) {
    const isCount = typeof entry === 'number' || typeof entry === 'boolean';
    clean[name] = PRIVATE.test(name) && !isCount ? '***' : cleanDetail(entry, depth + 1);
  }
  return clean;
}

function cleanError(error: Error): object {
  const message = cleanText(error.message);
  return error instanceof MnerError ? { code: error.code, class: error.class, message } : { name: error.name, message };
}
