import { createHash } from 'node:crypto';

const PREFIX = 'mner:img:';
/** Characters of base64url: 132 bits. */
const LENGTH = 22;

/**
 * The key of a picture by its address. Spellings that mean the same (case of the host, default port, dot segments,
 * fragment) share a key; the query counts, since picture hosts choose the variant by it.
 * @param vision name and version of the vision bundle, whose features no other bundle may read
 */
export function urlKey(url: URL, vision: string): string {
  const canonical = new URL(url);
  canonical.hash = '';
  return key('url', vision, canonical.href);
}

/** The key of a picture by its bytes, wherever they came from. */
export function contentKey(bytes: Uint8Array, vision: string): string {
  return key('content', vision, bytes);
}

function key(kind: string, vision: string, what: string | Uint8Array): string {
  const hash = createHash('sha256').update(`${kind}\0${vision}\0`).update(what);
  return PREFIX + hash.digest('base64url').slice(0, LENGTH);
}
