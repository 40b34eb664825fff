import { crc32, deflateSync } from 'node:zlib';
import sharp, { type Sharp } from 'sharp';

export type Colour = readonly [number, number, number];
export const RED: Colour = [255, 0, 0];
export const GREEN: Colour = [0, 255, 0];
export const BLUE: Colour = [0, 0, 255];
export const WHITE: Colour = [255, 255, 255];

/** A picture in one colour, not yet in any format. */
export function plain([r, g, b]: Colour, width = 64, height = 48): Sharp {
  return sharp({ create: { width, height, channels: 3, background: { r, g, b } } });
}

/** Four quarters in red, green, blue and white: top left, top right, bottom left, bottom right. */
export function quarters(side = 64): Sharp {
  const pixels = Buffer.alloc(side * side * 3);
  for (let at = 0; at < side * side; at += 1) {
    const right = at % side >= side / 2;
    const below = at >= (side * side) / 2;
    const [r, g, b] = below ? (right ? WHITE : BLUE) : right ? GREEN : RED;
    pixels.set([r, g, b], at * 3);
  }
  return sharp(pixels, { raw: { width: side, height: side, channels: 3 } });
}

/** An animation whose frames have the given colours. */
export function animation(colours: readonly Colour[], side = 8): Sharp {
  const pixels = Buffer.concat(colours.map((colour) => Buffer.alloc(side * side * 3, Buffer.from(colour))));
  return sharp(pixels, { raw: { width: side, height: side * colours.length, channels: 3, pageHeight: side } });
}

/** A PNG of a few bytes that says it is as large as you like. */
export function pngHeader(width: number, height: number): Buffer {
  return png({ width, height, depth: 8, colour: 2 }, Buffer.from('789c030000000001', 'hex'));
}

/** A PNG that is as large as it says: one bit a pixel, all white, some hundred kilobytes at most. */
export function whitePng(width: number, height: number): Buffer {
  const row = Buffer.alloc(1 + Math.ceil(width / 8), 0xff);
  row[0] = 0;
  return png({ width, height, depth: 1, colour: 0 }, deflateSync(Buffer.alloc(row.length * height, row)));
}

interface PngHeader {
  readonly width: number;
  readonly height: number;
  readonly depth: number;
  /** 0 grey, 2 RGB. */
  readonly colour: number;
}

function png({ width, height, depth, colour }: PngHeader, deflated: Buffer): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([depth, colour, 0, 0, 0], 8);
  const chunk = (name: string, data: Buffer) => {
    const body = Buffer.concat([Buffer.from(name), data]);
    const out = Buffer.alloc(8 + body.length);
    out.writeUInt32BE(data.length, 0);
    out.set(body, 4);
    out.writeUInt32BE(crc32(body), 4 + body.length);
    return out;
  };
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', header),
    chunk('IDAT', deflated),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

/** An AVIF of about a kilobyte that says it has 8,000 x 6,000 pixels. */
export async function largeAvif(): Promise<Buffer> {
  const bytes = await plain(RED).avif().toBuffer();
  // The box `ispe`: name, version and flags, width, height.
  const size = bytes.indexOf('ispe') + 8;
  bytes.writeUInt32BE(8_000, size);
  bytes.writeUInt32BE(6_000, size + 4);
  return bytes;
}

/** The colour at a place of raw pixels, given in shares of width and height. */
export function colourAt(pixels: Uint8Array, size: number, x: number, y: number): number[] {
  const at = (Math.floor(y * size) * size + Math.floor(x * size)) * 3;
  return [...pixels.subarray(at, at + 3)];
}
