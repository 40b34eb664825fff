import type { Decoded, Grey } from './decode.js';

/** What the decoding process gets as its only argument, in JSON. */
export interface DecodeSettings {
  readonly size: number;
  readonly maxPixels: number;
  /** As in `DecoderOptions`. */
  readonly greySide?: number;
}

/** What a decoding process tells its worker: once that it can decode, then one answer for each picture. */
export type FromDecoder = { readonly type: 'ready' } | { readonly type: 'answer'; readonly decoded: Decoded };

/**
 * What a message of the decoding process says; null when it is none that an honest one sends. A picture may have taken
 * the process over, so nothing of it is believed.
 */
export function readMessage(message: unknown, { size, maxPixels, greySide }: DecodeSettings): FromDecoder | null {
  if (!isObject(message)) return null;
  if (message.type === 'ready') return { type: 'ready' };
  if (message.type !== 'answer' || !isObject(message.decoded)) return null;
  const { status, pixels, width, height, grey, detail } = message.decoded;
  if (status === 'ok') {
    if (!(pixels instanceof Uint8Array) || pixels.length !== size * size * 3) return null;
    if (!isSide(width, maxPixels) || !isSide(height, maxPixels) || width * height > maxPixels) return null;
    const picture = { status, pixels, width, height } as const;
    if (greySide === undefined) return { type: 'answer', decoded: picture };
    const read = readGrey(grey, greySide);
    return read && { type: 'answer', decoded: { ...picture, grey: read } };
  }
  if ((status !== 'unreadable' && status !== 'too_large') || typeof detail !== 'string') return null;
  return { type: 'answer', decoded: { status, detail: detail.slice(0, 200) } };
}

/** A grey picture of at most `side` pixels a side; null for everything else. */
function readGrey(value: unknown, side: number): Grey | null {
  if (!isObject(value)) return null;
  const { width, height, pixels } = value;
  if (!isSide(width, side) || !isSide(height, side)) return null;
  if (!(pixels instanceof Uint8Array) || pixels.length !== width * height) return null;
  return { width, height, pixels };
}

function isSide(value: unknown, most: number): value is number {
  return Number.isInteger(value) && Number(value) >= 1 && Number(value) <= most;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
