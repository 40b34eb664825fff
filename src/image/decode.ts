import sharp, { type SharpOptions } from 'sharp';
import { limiter } from './limiter.js';

export interface DecoderOptions {
  /** Side of the square that the vision encoder reads, in pixels. */
  readonly size: number;
  /** Width times height of a picture, by its header; more is `too_large`. @default 25000000 */
  readonly maxPixels?: number;
  /**
   * Pictures decoded at once. Each may take 100 MB for a moment, and one of libuv's four threads, which names and
   * files need as well.
   * @default 2
   */
  readonly concurrency?: number;
  /** Whole seconds that one picture may take. @default 5 */
  readonly timeoutSeconds?: number;
}

export type Decoded =
  /** RGB, row by row, size x size x 3 bytes. */
  | { readonly status: 'ok'; readonly pixels: Uint8Array }
  | { readonly status: 'unreadable' | 'too_large'; readonly detail: string };

/** Turns bytes of any kind into the pixels that the vision encoder reads. */
export interface Decoder {
  /** Never throws for what the bytes are. */
  decode(bytes: Uint8Array): Promise<Decoded>;
}

const LOADERS = [
  'VipsForeignLoadJpegBuffer',
  'VipsForeignLoadPngBuffer',
  'VipsForeignLoadWebpBuffer',
  'VipsForeignLoadNsgifBuffer',
];

/** Works in this process. The block of other formats holds for all of it. */
export function createDecoder(options: DecoderOptions): Decoder {
  const { size } = options;
  const maxPixels = options.maxPixels ?? 25_000_000;
  const seconds = options.timeoutSeconds ?? 5;
  const slots = limiter(options.concurrency ?? 2);
  // The throughput comes from pictures side by side, not from threads within one; nothing is asked for twice.
  sharp.concurrency(1);
  sharp.cache(false);
  sharp.block({ operation: ['VipsForeignLoad'] });
  sharp.unblock({ operation: LOADERS });

  async function work(bytes: Uint8Array): Promise<Decoded> {
    // The first frame only, whatever an animation says; the header is read without the limit, to say what is wrong.
    const common: SharpOptions = { failOn: 'truncated', pages: 1 };
    const { width, height } = await sharp(bytes, { ...common, limitInputPixels: false }).metadata();
    if (width * height > maxPixels)
      return { status: 'too_large', detail: `the picture has ${width} x ${height} pixels` };
    const { data, info } = await sharp(bytes, { ...common, limitInputPixels: maxPixels, autoOrient: true })
      .timeout({ seconds })
      .resize(size, size, { fit: 'fill' })
      .flatten({ background: '#ffffff' })
      .toColourspace('srgb')
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    if (info.channels !== 3) return { status: 'unreadable', detail: `the picture has ${info.channels} channels` };
    return { status: 'ok', pixels: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) };
  }

  return {
    async decode(bytes) {
      if (formatOf(bytes) === null) return { status: 'unreadable', detail: 'this is no JPEG, PNG, WebP or GIF' };
      const release = await slots.take();
      try {
        return await work(bytes);
      } catch {
        return { status: 'unreadable', detail: 'the picture is damaged' };
      } finally {
        release?.();
      }
    },
  };
}

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
