import { idAt, type Json, longestText, objectsAt, present, requireId, stringAt, timeAt } from './fields.js';
import type { Tweet } from './tweet.js';

/** Our own shape: `{"id","text","created_at"?,"lang"?,"author_id"?,"media"?:[{"type":"photo","url"?|"data"?,"alt_text"?}]}`. */
export function readNative(json: Json): Tweet {
  const id = requireId(idAt(json, 'id'));
  const text = longestText(stringAt(json, 'text'));
  return {
    id,
    text,
    displayed: [0, text.length],
    photos: objectsAt(json, 'media')
      .filter((media) => (stringAt(media, 'type') ?? 'photo') === 'photo')
      .map((media) =>
        present({ url: stringAt(media, 'url'), data: stringAt(media, 'data'), altText: stringAt(media, 'alt_text') }),
      ),
    ...present({
      createdAt: timeAt(json, 'created_at'),
      lang: stringAt(json, 'lang'),
      authorId: idAt(json, 'author_id'),
    }),
  };
}
