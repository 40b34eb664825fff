import { MnerError } from '../errors.js';
import { isObject, type Json } from './fields.js';
import { parseJson } from './json.js';
import { readNative } from './native.js';
import type { Tweet } from './tweet.js';
import { readV11 } from './v1.1.js';
import { readXApiV2 } from './x-api-v2.js';

/** Characters (code points) of the longest text that is read; X allows no longer one. */
const MAX_TEXT = 25_000;

/**
 * Bytes of one tweet event to a {@link Tweet}. The three shapes are told apart by their fields: `data` is an object in
 * X API v2; `id_str`, `full_text` and the like stand only in version 1.1; what is left with an `id` or a `text` is ours.
 *
 * @throws MnerError `bad_utf8`, `bad_json`, `too_deep`, `unknown_shape`, `no_id`, `no_text`, `text_too_long`
 */
export function parseTweet(bytes: Uint8Array): Tweet {
  const json = parseJson(bytes);
  if (!isObject(json)) throw new MnerError('unknown_shape');
  const tweet = readShape(json);
  if (longerThan(tweet.text, MAX_TEXT)) throw new MnerError('text_too_long');
  return tweet;
}

const V11_FIELDS = ['id_str', 'full_text', 'extended_tweet', 'extended_entities', 'retweeted_status'];

function readShape(json: Json): Tweet {
  if (isObject(json.data)) return readXApiV2(json);
  if (V11_FIELDS.some((field) => Object.hasOwn(json, field))) return readV11(json);
  if (Object.hasOwn(json, 'id') || Object.hasOwn(json, 'text')) return readNative(json);
  throw new MnerError('unknown_shape');
}

function longerThan(text: string, codePoints: number): boolean {
  if (text.length <= codePoints) return false;
  let count = 0;
  for (const _ of text) if (++count > codePoints) return true;
  return false;
}
