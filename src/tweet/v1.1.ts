import type { Photo } from '../image/port.js';
import { idAt, type Json, longestText, objectAt, objectsAt, present, requireId, stringAt, timeAt } from './fields.js';
import type { Tweet } from './tweet.js';

/**
 * X's version 1.1: `{"id_str","full_text"|"text","display_text_range"?,"extended_entities"?}`.
 *
 * A long tweet holds its whole text in `extended_tweet`; a retweet holds its original in `retweeted_status` and is read
 * as that, since its own text is cut off.
 */
export function readV11(json: Json): Tweet {
  const id = requireId(idAt(json, 'id_str'), idAt(json, 'id'));
  const retweeted = objectAt(json, 'retweeted_status');
  // Some feeds include a stub of the original; the cut text is better than none.
  const original = retweeted && hasText(retweeted) ? retweeted : undefined;
  const source = original ?? json;
  const extended = objectAt(source, 'extended_tweet');
  const text = longestText(stringAt(extended, 'full_text'), stringAt(source, 'full_text'), stringAt(source, 'text'));
  // The range belongs to the text that it stands beside.
  const holder = stringAt(extended, 'full_text') === text ? extended : source;
  const user = objectAt(json, 'user');
  return {
    id,
    text,
    displayed: displayedPart(text, holder?.display_text_range),
    photos: photosOf(extended && photosOf(extended).length > 0 ? extended : source),
    ...present({
      createdAt: timeAt(json, 'created_at'),
      lang: stringAt(json, 'lang'),
      authorId: idAt(user, 'id_str') ?? idAt(user, 'id'),
      retweetOf: original ? (idAt(original, 'id_str') ?? idAt(original, 'id')) : undefined,
    }),
  };
}

function hasText(tweet: Json): boolean {
  return [tweet.full_text, tweet.text, objectAt(tweet, 'extended_tweet')?.full_text].some(
    (text) => typeof text === 'string',
  );
}

/** `extended_entities` lists every photo; `entities` of older tweets only the first. */
function photosOf(tweet: Json): Photo[] {
  const extended = objectsAt(objectAt(tweet, 'extended_entities'), 'media');
  const media = extended.length > 0 ? extended : objectsAt(objectAt(tweet, 'entities'), 'media');
  return media
    .filter((entry) => (stringAt(entry, 'type') ?? 'photo') === 'photo')
    .map((entry) =>
      present({
        url: stringAt(entry, 'media_url_https') ?? stringAt(entry, 'media_url'),
        altText: stringAt(entry, 'ext_alt_text'),
      }),
    );
}

/** X counts the range in code points; anything that is not a sensible range means the whole text. */
function displayedPart(text: string, range: unknown): readonly [number, number] {
  const whole = [0, text.length] as const;
  if (!Array.isArray(range) || range.length !== 2) return whole;
  const [start, end]: unknown[] = range;
  if (!Number.isInteger(start) || !Number.isInteger(end)) return whole;
  const from = unitsOf(text, start as number);
  const to = unitsOf(text, end as number);
  return from < to ? [from, to] : whole;
}

/** UTF-16 units in the first `codePoints` code points of the text. */
function unitsOf(text: string, codePoints: number): number {
  let units = 0;
  for (let i = 0; i < codePoints && units < text.length; i++) {
    units += (text.codePointAt(units) as number) > 0xffff ? 2 : 1;
  }
  return units;
}
