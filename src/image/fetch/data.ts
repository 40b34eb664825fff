import type { Fetched } from '../port.js';

/**
 * The bytes of a picture that came inside the tweet. Strict, unlike Node's own reader, which drops what it does not
 * know: the standard alphabet, padded or not, no white space, no `data:` prefix.
 */
export function readData(data: string, maxBytes = 10 * 1024 * 1024): Fetched {
  if (Math.floor((data.length * 3) / 4) > maxBytes + 2) {
    return { status: 'too_large', detail: `the picture is longer than ${maxBytes} bytes` };
  }
  const digits = data.replace(/={1,2}$/, '');
  const padded = digits.length !== data.length;
  if (
    digits === '' ||
    digits.length % 4 === 1 ||
    (padded && data.length % 4 !== 0) ||
    !/^[A-Za-z0-9+/]+$/.test(digits)
  ) {
    return { status: 'unreadable', detail: 'the picture is not in base64' };
  }
  const bytes = Buffer.from(digits, 'base64');
  if (bytes.length > maxBytes) return { status: 'too_large', detail: `the picture is longer than ${maxBytes} bytes` };
  return { status: 'ok', bytes };
}
