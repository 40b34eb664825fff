import { writeFile } from 'node:fs/promises';
import { extname } from 'node:path';
import sharp from 'sharp';
import { MnerError } from '../../errors.js';

const FORMATS = new Map<string, 'png' | 'jpeg' | 'webp'>([
  ['.png', 'png'],
  ['.jpg', 'jpeg'],
  ['.jpeg', 'jpeg'],
  ['.webp', 'webp'],
]);

/** What a file of this name is written as. @throws MnerError `bad_input` */
export function savedFormat(file: string): 'png' | 'jpeg' | 'webp' {
  const format = FORMATS.get(extname(file).toLowerCase());
  if (format) return format;
  throw new MnerError(
    'bad_input',
    `--save takes a file that ends in ${[...FORMATS.keys()].join(', ')}, not "${file}".`,
  );
}

/** Writes a picture that we drew, in the format that the file's name says. @throws MnerError `bad_input` */
export async function savePicture(file: string, drawing: Buffer): Promise<void> {
  const bytes = await sharp(drawing).toFormat(savedFormat(file)).toBuffer();
  try {
    await writeFile(file, bytes);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    throw new MnerError('bad_input', `The file ${file} cannot be written (${code}).`);
  }
}
