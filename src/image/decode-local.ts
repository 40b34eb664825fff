import { setMaxListeners } from 'node:events';
import sharp, { type OutputInfo, type ResizeOptions, type SharpOptions } from 'sharp';
import { MnerError } from '../errors.js';
import type { Decoded, Decoder, DecoderOptions } from './decode.js';
import { formatOf, NO_PICTURE } from './decode-format.js';
import { limiter } from './limiter.js';

const LOADERS = [
  'VipsForeignLoadJpegBuffer',
  'VipsForeignLoadPngBuffer',
  'VipsForeignLoadWebpBuffer',
  'VipsForeignLoadNsgifBuffer',
];

/**
 * A decoder in this process, for bytes that are trusted and for the decoding process itself: a crash takes the process
 * along, and the time limit holds in whole seconds. The block of other formats holds for all of the process.
 */
export function createLocalDecoder(
  options: Pick<DecoderOptions, 'size' | 'greySide' | 'maxPixels' | 'concurrency' | 'timeoutMs'>,
): Decoder {
  const { size, greySide } = options;
  const maxPixels = options.maxPixels ?? 25_000_000;
  const seconds = Math.max(1, Math.ceil((options.timeoutMs ?? 5_000) / 1000));
  const slots = limiter(options.concurrency ?? 2);
  const stopping = new AbortController();
  // Every picture that waits listens to it; more than ten at once are no leak.
  setMaxListeners(0, stopping.signal);
  const underWay = new Set<Promise<Decoded>>();
  // The throughput comes from pictures side by side, not from threads within one; nothing is asked for twice.
  sharp.concurrency(1);
  sharp.cache(false);
  sharp.block({ operation: ['VipsForeignLoad'] });
  sharp.unblock({ operation: LOADERS });

  async function pixelsOf(bytes: Uint8Array): Promise<Decoded> {
    // The first frame only, whatever an animation says; the header is read without the limit, to say what is wrong.
    const common: SharpOptions = { failOn: 'truncated', pages: 1 };
    const { autoOrient } = await sharp(bytes, { ...common, limitInputPixels: false }).metadata();
    const { width, height } = autoOrient;
    if (width * height > maxPixels)
      return { status: 'too_large', detail: `the picture has ${width} x ${height} pixels` };
    const raw = (resize: ResizeOptions, space: 'srgb' | 'b-w') =>
      sharp(bytes, { ...common, limitInputPixels: maxPixels, autoOrient: true })
        .timeout({ seconds })
        .resize(resize)
        .flatten({ background: '#ffffff' })
        .toColourspace(space)
        .raw({ depth: 'uchar' })
        .toBuffer({ resolveWithObject: true });
    const { data, info } = await raw({ width: size, height: size, fit: 'fill' }, 'srgb');
    if (info.channels !== 3) return channelsWrong(info);
    const pixels = bytesOf(data);
    if (greySide === undefined) return { status: 'ok', pixels, width, height };
    // Decoded once more, so that the pixels are the same with and without it.
    const grey = await raw({ width: greySide, height: greySide, fit: 'inside', withoutEnlargement: true }, 'b-w');
    if (grey.info.channels !== 1) return channelsWrong(grey.info);
    const { width: greyWidth, height: greyHeight } = grey.info;
    return {
      status: 'ok',
      pixels,
      width,
      height,
      grey: { width: greyWidth, height: greyHeight, pixels: bytesOf(grey.data) },
    };
  }

  async function work(bytes: Uint8Array): Promise<Decoded> {
    const release = await slots.take(stopping.signal);
    if (release === null) throw new MnerError('decoder_unavailable', 'The decoder was stopped.');
    try {
      return await pixelsOf(bytes).catch(() => ({ status: 'unreadable', detail: 'the picture is damaged' }) as const);
    } finally {
      release();
    }
  }

  return {
    async decode(bytes) {
      if (formatOf(bytes) === null) return NO_PICTURE;
      const result = work(bytes);
      underWay.add(result);
      try {
        return await result;
      } finally {
        underWay.delete(result);
      }
    },
    async stop() {
      stopping.abort();
      await Promise.allSettled(underWay);
    },
  };
}

function channelsWrong({ channels }: OutputInfo): Decoded {
  return { status: 'unreadable', detail: `the picture has ${channels} channels` };
}

function bytesOf(data: Buffer): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
