import { contentKey, urlKey } from './cache/key.js';
import { readData } from './fetch/data.js';
import { readPictureFile } from './fetch/file.js';
import type { Failure } from './fetch/hosts.js';
import { canonicalPictureUrl, variantOf } from './fetch/variant.js';
import type { Fetched, Photo } from './port.js';

/** A picture that someone wants, and where its bytes come from. */
export interface Wanted {
  readonly key: string;
  bytes(): Promise<Fetched>;
}

export interface WantedParts {
  /** What the picture is understood with: another version, another key. */
  readonly version: string;
  /** Pixels per side that are looked at: of a picture that comes in several sizes one is fetched that is enough. */
  readonly side: number;
  /** Bytes of a picture that comes inside the tweet, or from a file. @default 10485760 */
  readonly maxBytes: number | undefined;
  /** Whether `file:` is read. @default false */
  readonly allowFiles: boolean | undefined;
  readonly fetch: (url: string) => Promise<Fetched>;
}

/** What a tweet's photo means: a picture, a failure where the photo alone decides, null where it names none. */
export type Meant = Wanted | Failure | null;

/** Which picture a tweet means. Only a file's bytes have to be awaited for that, and never throws. */
export function createMeaning(parts: WantedParts): (photo: Photo) => Meant | Promise<Meant> {
  const { version, side, maxBytes, allowFiles = false } = parts;

  function inHand(read: Fetched): Wanted | Failure {
    if (read.status !== 'ok') return read;
    return { key: contentKey(read.bytes, version), bytes: async () => read };
  }

  return ({ url, data }) => {
    if (data !== undefined) return inHand(readData(data, maxBytes));
    if (url === undefined) return null;
    if (!URL.canParse(url)) return { status: 'refused', detail: 'this is no URL' };
    const parsed = new URL(url);
    if (parsed.protocol === 'http:' || parsed.protocol === 'https:') {
      const key = urlKey(canonicalPictureUrl(parsed), version);
      return { key, bytes: () => parts.fetch(variantOf(parsed, side).href) };
    }
    if (parsed.protocol === 'file:' && allowFiles) return readPictureFile(parsed, maxBytes).then(inHand);
    return { status: 'refused', detail: 'pictures are fetched by http and https' };
  };
}
