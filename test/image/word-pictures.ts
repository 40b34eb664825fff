import sharp from 'sharp';
import type { Grey } from '#mner/image/decode.js';

/** A picture with words in it, one line each, white on blue, and a red disc that is no letter. */
export function wordPicture(...lines: readonly string[]): Promise<Buffer> {
  const texts = lines.map((line, index) => `<text x="40" y="${90 + index * 90}">${line}</text>`).join('');
  const style = 'font-family="DejaVu Sans, Liberation Sans, Arial, sans-serif" font-size="56" fill="#fff"';
  const shapes = '<rect width="640" height="480" fill="#3a6ea5"/><circle cx="540" cy="400" r="60" fill="#c00"/>';
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="640" height="480">${shapes}<g ${style}>${texts}</g></svg>`;
  return sharp(Buffer.from(svg)).png().toBuffer();
}

/** Whether this machine has a font: without one all letters look the same, or like nothing. */
export async function canDrawWords(): Promise<boolean> {
  const [one, other] = await Promise.all([wordPicture('MMMM'), wordPicture('ottt')]);
  return !one.equals(other);
}

export async function greyOf(bytes: Buffer): Promise<Grey> {
  const { data, info } = await sharp(bytes).flatten().greyscale().raw().toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, pixels: new Uint8Array(data) };
}

/** A grey picture of one row. */
export function row(width: number): Grey {
  return { width, height: 1, pixels: new Uint8Array(width) };
}
