import type { Photo } from '../image/port.js';

/** A tweet as the worker needs it, whatever shape it came in. */
export interface Tweet {
  readonly id: string;
  /** The text as it came, HTML entities still escaped: offsets count in this string. */
  readonly text: string;
  /** The part that X displays, in UTF-16 units: without the leading names of a reply and the trailing link of a picture. */
  readonly displayed: readonly [start: number, end: number];
  /** Every photo, usable or not, in the order of the tweet. */
  readonly photos: readonly Photo[];
  /** RFC 3339 in UTC. */
  readonly createdAt?: string;
  readonly lang?: string;
  readonly authorId?: string;
  /** Id of the original, where the tweet is a retweet and is read as its original. */
  readonly retweetOf?: string;
}

/** The photo that counts: the first one that can be looked at. Photos with nothing but a description, or an empty URL, are none. */
export function usablePhoto(tweet: Tweet): Photo | undefined {
  return tweet.photos.find((photo) => Boolean(photo.url) || photo.data !== undefined);
}

/** What its author says that the picture shows: of the photo that counts, or, where none can be looked at, of the first that is described. */
export function describedAs(tweet: Tweet): string | undefined {
  return (usablePhoto(tweet) ?? tweet.photos.find(({ altText }) => altText))?.altText;
}
