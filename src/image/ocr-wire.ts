import { tidyWords } from './ocr-words.js';

/** What the reading process gets as its only argument, in JSON. */
export interface OcrSettings {
  /** Folder of the language's data, which is never downloaded. */
  readonly languagePath: string;
}

/** What a reading process tells its worker: once that it can read, then one answer for each picture. */
export type FromReader = { readonly type: 'ready' } | { readonly type: 'answer'; readonly words: string };

/**
 * What a message of the reading process says; null when it is none that an honest one sends. A picture may have taken
 * the process over, so nothing of it is believed.
 */
export function readMessage(message: unknown): FromReader | null {
  if (typeof message !== 'object' || message === null || !('type' in message)) return null;
  if (message.type === 'ready') return { type: 'ready' };
  if (message.type !== 'answer' || !('words' in message) || typeof message.words !== 'string') return null;
  return { type: 'answer', words: tidyWords(message.words) };
}
