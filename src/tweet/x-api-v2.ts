import type { Photo } from '../image/port.js';
import { idAt, type Json, longestText, objectAt, objectsAt, present, requireId, stringAt, timeAt } from './fields.js';
import type { Tweet } from './tweet.js';

/**
 * X API v2: `{"data":{…},"includes":{"media":[…],"tweets":[…]}}`.
 *
 * A retweet whose original is among the includes is read as its original, since its own text is cut off.
 */
export function readXApiV2(json: Json): Tweet {
  const data = objectAt(json, 'data') ?? {};
  const includes = objectAt(json, 'includes');
  const id = requireId(idAt(data, 'id'));
  const original = originalOf(data, includes);
  const source = original ?? data;
  const text = longestText(...textsOf(source));
  return {
    id,
    text,
    displayed: [0, text.length],
    photos: photosOf(source, includes),
    ...present({
      createdAt: timeAt(data, 'created_at'),
      lang: stringAt(data, 'lang'),
      authorId: idAt(data, 'author_id'),
      retweetOf: idAt(original, 'id'),
    }),
  };
}

function textsOf(tweet: Json): (string | undefined)[] {
  return [stringAt(objectAt(tweet, 'note_tweet'), 'text'), stringAt(tweet, 'text')];
}

function originalOf(data: Json, includes: Json | undefined): Json | undefined {
  const reference = objectsAt(data, 'referenced_tweets').find((tweet) => stringAt(tweet, 'type') === 'retweeted');
  const id = idAt(reference, 'id');
  if (id === undefined) return undefined;
  return objectsAt(includes, 'tweets').find(
    (tweet) => idAt(tweet, 'id') === id && textsOf(tweet).some((text) => text !== undefined),
  );
}

/** The photos that the tweet's media keys name, in their order. */
function photosOf(tweet: Json, includes: Json | undefined): Photo[] {
  const keys = objectAt(tweet, 'attachments')?.media_keys;
  if (!Array.isArray(keys)) return [];
  const media = objectsAt(includes, 'media');
  return keys
    .map((key) => media.find((entry) => entry.media_key === key && stringAt(entry, 'type') === 'photo'))
    .filter((entry) => entry !== undefined)
    .map((entry) => present({ url: stringAt(entry, 'url'), altText: stringAt(entry, 'alt_text') }));
}
