import type { PictureFormat } from '../../image/decode-format.js';
import type { ImageStatus } from '../../image/port.js';

/** What `mner image` tells, and prints as JSON. */
export interface Seen {
  readonly picture: string;
  readonly status: ImageStatus;
  /** Why it could not be used; null where the cache says no more than the status. */
  readonly detail: string | null;
  readonly redirects: readonly string[];
  readonly cache: 'hit' | 'miss' | null;
  /** Of the file; null when it was not fetched, since its features were in the cache. */
  readonly bytes: number | null;
  /** By its first bytes; null for what is not decoded. */
  readonly format: PictureFormat | null;
  /** Upright; null where it is not decoded, or cannot be. */
  readonly width: number | null;
  readonly height: number | null;
  readonly tags: readonly { readonly tag: string; readonly score: number }[];
  /** The box as x0, y0, x1, y1 in shares of width and height. */
  readonly objects: readonly SeenObject[];
  /** The words in it; null where they were not read, be it that `ocr` is `off`. */
  readonly words: string | null;
  /** With `--text`: probability that the picture belongs to the text. */
  readonly relevance: number | null;
  /** By stage. */
  readonly milliseconds: Readonly<Record<string, number>>;
}

export interface SeenObject {
  readonly object: string;
  readonly score: number;
  readonly box: readonly [number, number, number, number];
}

export function formatSeen(seen: Seen): string {
  const { bytes, format, width, height } = seen;
  const file =
    bytes === null
      ? 'not fetched'
      : [`${bytes} bytes`, format, width && `${width} × ${height}`].filter(Boolean).join(', ');
  const steps = Object.entries(seen.milliseconds).map(([stage, ms]) => `${stage} ${ms.toFixed(1)} ms`);
  const percent = (share: number) => `${(100 * share).toFixed(0)} %`;
  return [
    ['picture', seen.picture],
    ['status', seen.detail === null ? seen.status : `${seen.status}: ${seen.detail}`],
    ...seen.redirects.map((url) => ['redirect', url]),
    ['cache', seen.cache ?? 'not asked'],
    ['file', file],
    ...seen.tags.map(({ tag, score }) => ['tag', `${tag} ${percent(score)}`]),
    ...seen.objects.map(({ object, score, box }) => [
      'object',
      `${object} ${percent(score)} at ${box.map(percent).join(', ')}`,
    ]),
    ...(seen.words === null ? [] : [['words', seen.words || 'none']]),
    ...(seen.relevance === null ? [] : [['relevance', seen.relevance.toFixed(2)]]),
    ...(steps.length === 0 ? [] : [['time', steps.join(', ')]]),
  ]
    .map(([name, value]) => `${name?.padEnd(10)}${value}`)
    .join('\n');
}
