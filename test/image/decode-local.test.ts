import sharp from 'sharp';
import { expect, it } from 'vitest';
import { createLocalDecoder } from '#mner/image/decode-local.js';
import { decoderConformance } from './decoder-conformance.js';
import { plain, RED } from './pictures.js';

decoderConformance('in this process', createLocalDecoder);

it.each(['avif', 'tiff'] as const)('%s is blocked for all of the process', async (format) => {
  createLocalDecoder({ size: 32 });
  const bytes = await plain(RED).toFormat(format).toBuffer();
  await expect(sharp(bytes).metadata()).rejects.toThrow('unsupported image format');
});
