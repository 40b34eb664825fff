import sharp from 'sharp';
import type { Pixels } from '../../image/decode.js';
import type { SeenObject } from './seen.js';

/** Longest side of the drawing in pixels, and both of the square that it is drawn from: enough to look at. */
export const DRAWN_SIDE = 1024;

/** Longest side of the drawing of a small picture, which its labels would hide. */
const LEAST_SIDE = 480;

/**
 * The picture with its objects' boxes, and, where the gate weighed its regions, with a veil over the cells that count less.
 *
 * @param picture as the decoding process has it, {@link DRAWN_SIDE} a side: bytes that a stranger wrote are not read here
 * @param cells weights of a square grid, row by row; null where the model weighs none
 * @returns PNG
 */
export async function drawFindings(
  picture: Pixels,
  objects: readonly SeenObject[],
  cells: readonly (readonly number[])[] | null,
): Promise<Buffer> {
  const longest = Math.max(picture.width, picture.height);
  const scale = Math.min(DRAWN_SIDE, Math.max(LEAST_SIDE, longest)) / longest;
  const drawn = (side: number) => Math.max(1, Math.round(side * scale));
  const [width, height] = [drawn(picture.width), drawn(picture.height)];
  const shapes = [...veil(cells, width, height), ...objects.map((one) => box(one, width, height))];
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">${shapes.join('')}</svg>`;
  return sharp(picture.pixels, { raw: { width: DRAWN_SIDE, height: DRAWN_SIDE, channels: 3 } })
    .resize({ width, height, fit: 'fill' })
    .composite([{ input: Buffer.from(svg) }])
    .png()
    .toBuffer();
}

function veil(grid: readonly (readonly number[])[] | null, width: number, height: number): string[] {
  const cells = grid?.flat() ?? [];
  const side = grid?.length ?? 0;
  const most = Math.max(...cells, Number.MIN_VALUE);
  return cells.map((weight, i) => {
    const x = ((i % side) * width) / side;
    const y = (Math.floor(i / side) * height) / side;
    const shade = (0.6 * (1 - weight / most)).toFixed(3);
    return `<rect x="${x}" y="${y}" width="${width / side}" height="${height / side}" fill="#001" fill-opacity="${shade}"/>`;
  });
}

function box({ object, score, box: [x0, y0, x1, y1] }: SeenObject, width: number, height: number): string {
  const [x, y] = [x0 * width, y0 * height];
  const label = `${object} ${(100 * score).toFixed(0)} %`;
  const [long, high] = [label.length * 8 + 10, 20];
  // Within the picture where there is room, be the object at its right or lower edge.
  const [left, top] = [Math.max(0, Math.min(x, width - long)), Math.max(0, Math.min(y, height - high))];
  return `<rect x="${x}" y="${y}" width="${(x1 - x0) * width}" height="${(y1 - y0) * height}" fill="none" stroke="#ffd23f" stroke-width="3"/>
    <rect x="${left}" y="${top}" width="${long}" height="${high}" fill="#ffd23f"/>
    <text x="${left + 5}" y="${top + 15}" font-family="sans-serif" font-size="14" fill="#111">${label.replaceAll('&', '&amp;').replaceAll('<', '&lt;')}</text>`;
}
