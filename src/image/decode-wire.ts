import type { Decoded } from './decode.js';

/** What the decoding process gets as its only argument, in JSON. */
export interface DecodeSettings {
  readonly size: number;
  readonly maxPixels: number;
}

/** What a decoding process tells its worker: once that it can decode, then one answer for each picture. */
export type FromDecoder = { readonly type: 'ready' } | { readonly type: 'answer'; readonly decoded: Decoded };

/**
 * What a message of the decoding process says; null when it is none that an honest one sends. A picture may have taken
 * the process over, so nothing of it is believed.
 */
export function readMessage(message: unknown, size: number): FromDecoder | null {
  if (!isObject(message)) return null;
  if (message.type === 'ready') return { type: 'ready' };
  if (message.type !== 'answer' || !isObject(message.decoded)) return null;
  const { status, pixels, detail } = message.decoded;
  if (status === 'ok') {
    if (!(pixels instanceof Uint8Array) || pixels.length !== size * size * 3) return null;
    return { type: 'answer', decoded: { status, pixels } };
  }
  if ((status !== 'unreadable' && status !== 'too_large') || typeof detail !== 'string') return null;
  return { type: 'answer', decoded: { status, detail: detail.slice(0, 200) } };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
