export type PictureFormat = 'jpeg' | 'png' | 'webp' | 'gif';

/** The format by the first bytes, which alone decide: neither a name nor a content type is believed. */
export function formatOf(bytes: Uint8Array): PictureFormat | null {
  const starts = (at: number, text: string) =>
    [...text].every((char, index) => bytes[at + index] === char.charCodeAt(0));
  if (starts(0, '\xff\xd8\xff')) return 'jpeg';
  if (starts(0, '\x89PNG\r\n\x1a\n')) return 'png';
  if (starts(0, 'RIFF') && starts(8, 'WEBP')) return 'webp';
  if (starts(0, 'GIF87a') || starts(0, 'GIF89a')) return 'gif';
  return null;
}

export const NO_PICTURE = { status: 'unreadable', detail: 'this is no JPEG, PNG, WebP or GIF' } as const;
