/** X's own pictures: their sizes by name, as the length of the longer side. */
const SIZES = [
  { name: 'small', side: 680 },
  { name: 'medium', side: 1200 },
  { name: 'large', side: 2048 },
] as const;

const MEDIA_PATH = /^\/media\/([A-Za-z0-9_-]+)(?:\.([A-Za-z0-9]+))?(?::[A-Za-z0-9]+)?$/;

/**
 * The URL by which a picture is remembered: without its fragment and, for a picture of X, without its size, since all sizes
 * of a picture share one entry. The format stays: one that does not exist must not stand for one that does.
 */
export function canonicalPictureUrl(url: URL): URL {
  const media = mediaOf(url);
  if (media) return mediaUrl(media);
  const canonical = new URL(url);
  canonical.hash = '';
  return canonical;
}

/**
 * The URL to fetch a picture from: for a picture of X the smallest of its sizes that is enough, for any other the URL as it
 * is.
 * @param size pixels per side of what the model sees; twice that is enough for pictures twice as wide as high
 */
export function variantOf(url: URL, size: number): URL {
  const media = mediaOf(url);
  if (!media) return url;
  const variant = mediaUrl(media);
  variant.searchParams.set('name', SIZES.find(({ side }) => side >= 2 * size)?.name ?? 'orig');
  return variant;
}

interface Media {
  readonly id: string;
  readonly format: string;
}

/** The three spellings are `ID.jpg`, `ID.jpg:small` and `ID?format=jpg&name=small`. */
function mediaOf(url: URL): Media | null {
  if (url.hostname !== 'pbs.twimg.com' || url.port !== '' || !/^https?:$/.test(url.protocol)) return null;
  // Such a URL is refused, and must stay what it is for that.
  if (url.username !== '' || url.password !== '') return null;
  const [, id, extension] = MEDIA_PATH.exec(url.pathname) ?? [];
  const format = extension ?? url.searchParams.get('format');
  return id === undefined || !format ? null : { id, format: format.toLowerCase() };
}

function mediaUrl({ id, format }: Media): URL {
  const url = new URL(`https://pbs.twimg.com/media/${id}`);
  url.searchParams.set('format', format);
  return url;
}
