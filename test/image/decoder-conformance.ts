import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import sharp from 'sharp';
import { afterAll, describe, expect, it } from 'vitest';
import type { Decoder, DecoderOptions } from '#mner/image/decode.js';
import { formatOf } from '#mner/image/decode-format.js';
import { seen } from '../support/seen.js';
import {
  animation,
  BLUE,
  type Colour,
  colourAt,
  GREEN,
  largeAvif,
  plain,
  pngHeader,
  quarters,
  RED,
  WHITE,
  whitePng,
} from './pictures.js';

const SIZE = 32;
function near(colours: readonly Colour[], by = 6): unknown {
  return colours.map((colour) => colour.map((value) => expect.toSatisfy((got: number) => Math.abs(got - value) <= by)));
}
const QUARTERS = [RED, GREEN, BLUE, WHITE];

/** What every {@link Decoder} does with pictures of all kinds. */
export function decoderConformance(name: string, create: (options: DecoderOptions) => Decoder): void {
  describe(`decoder: ${name}`, () => {
    const decoder = create({ size: SIZE });
    afterAll(() => decoder.stop());

    /** The colours in the middle of the four quarters, or the status where there is no picture. */
    async function look(bytes: Uint8Array): Promise<number[][] | string> {
      const decoded = await decoder.decode(bytes);
      if (decoded.status !== 'ok') return decoded.status;
      expect(decoded.pixels).toHaveLength(SIZE * SIZE * 3);
      const spots = [
        [0.25, 0.25],
        [0.75, 0.25],
        [0.25, 0.75],
        [0.75, 0.75],
      ] as const;
      return spots.map(([x, y]) => colourAt(decoded.pixels, SIZE, x, y));
    }

    it('says how large the picture is, upright', async () => {
      const picture = plain(RED, 200, 100);
      const turned = await plain(RED, 200, 100).withMetadata({ orientation: 6 }).jpeg().toBuffer();
      expect(await decoder.decode(await picture.jpeg().toBuffer())).toMatchObject({ width: 200, height: 100 });
      expect(await decoder.decode(turned)).toMatchObject({ width: 100, height: 200 });
      const frames = await animation([RED, GREEN], 64).gif().toBuffer();
      expect(await decoder.decode(frames)).toMatchObject({ width: 64, height: 64 });
    });

    it('has no answer once it is stopped', async () => {
      const other = create({ size: SIZE });
      const bytes = await quarters().png().toBuffer();
      expect((await other.decode(bytes)).status).toBe('ok');
      const underWay = Promise.allSettled(Array.from({ length: 20 }, () => other.decode(bytes)));
      await other.stop();
      for (const result of await underWay) {
        if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'decoder_unavailable' });
        else expect(result.value.status).toBe('ok');
      }
      await expect(other.decode(bytes)).rejects.toMatchObject({ code: 'decoder_unavailable' });
      await other.stop();
      const never = create({ size: SIZE });
      await never.stop();
      await expect(never.decode(bytes)).rejects.toMatchObject({ code: 'decoder_unavailable' });
    });

    describe('a grey picture beside', () => {
      const reading = create({ size: SIZE, greySide: 48 });
      afterAll(() => reading.stop());

      it.each([
        ['is at most so large', () => plain(WHITE, 96, 64).png(), [48, 32]],
        ['keeps a smaller size', () => plain(WHITE, 20, 30).jpeg(), [20, 30]],
        ['has a pixel at least', () => plain(WHITE, 500, 2).png(), [48, 1]],
        ['stands upright', () => plain(WHITE, 96, 64).withMetadata({ orientation: 6 }).jpeg(), [32, 48]],
      ] as const)('%s', async (_, draw, [width, height]) => {
        const decoded = await reading.decode(await draw().toBuffer());
        expect(decoded).toMatchObject({ status: 'ok', grey: { width, height } });
        if (decoded.status === 'ok') expect(decoded.grey?.pixels).toEqual(new Uint8Array(width * height).fill(255));
      });

      it('changes nothing in the other', async () => {
        const bytes = await quarters(100).png().toBuffer();
        const [both, one] = await Promise.all([reading.decode(bytes), decoder.decode(bytes)]);
        expect(one).not.toHaveProperty('grey');
        expect(both).toEqual({ ...one, grey: expect.anything() });
      });
    });

    describe('what must work', () => {
      it.each([
        ['JPEG', () => quarters().jpeg({ quality: 95 })],
        ['progressive JPEG', () => quarters().jpeg({ quality: 95, progressive: true })],
        ['large JPEG, shrunk on load', () => quarters(1024).jpeg({ quality: 95 })],
        ['PNG', () => quarters().png()],
        ['interlaced PNG', () => quarters().png({ progressive: true })],
        ['palette PNG', () => quarters().png({ palette: true, colours: 8 })],
        ['16-bit PNG', () => quarters().toColourspace('rgb16').png()],
        ['WebP', () => quarters().webp({ quality: 95 })],
        ['lossless WebP', () => quarters().webp({ lossless: true })],
        ['GIF', () => quarters().gif()],
      ])('%s', async (_, draw) => {
        expect(await look(await draw().toBuffer())).toEqual(near(QUARTERS, 12));
      });

      it('CMYK JPEG', async () => {
        const bytes = await plain([180, 60, 50]).toColourspace('cmyk').jpeg({ quality: 95 }).toBuffer();
        expect((await sharp(bytes).metadata()).space).toBe('cmyk');
        // The way through ink loses some colour; the negative, which careless readers give, would be far off.
        expect(await look(bytes)).toEqual(near(Array(4).fill([180, 60, 50]), 30));
      });

      it.each(['jpeg', 'png', 'webp'] as const)('greyscale %s becomes RGB', async (format) => {
        const bytes = await plain([90, 90, 90]).greyscale().toFormat(format).toBuffer();
        expect(await look(bytes)).toEqual(near(Array(4).fill([90, 90, 90])));
      });

      it('16-bit greyscale PNG', async () => {
        const bytes = await plain([90, 90, 90]).toColourspace('grey16').png().toBuffer();
        expect((await sharp(bytes).metadata()).depth).toBe('ushort');
        expect(await look(bytes)).toEqual(near(Array(4).fill([90, 90, 90])));
      });

      it.each(['png', 'webp', 'gif'] as const)('alpha of %s is laid on white', async (format) => {
        const background = { r: 0, g: 0, b: 255, alpha: format === 'gif' ? 0 : 0.5 };
        const bytes = await sharp({ create: { width: 40, height: 40, channels: 4, background } })
          .toFormat(format)
          .toBuffer();
        const expected: Colour = format === 'gif' ? WHITE : [127, 127, 255];
        expect(await look(bytes)).toEqual(near(Array(4).fill(expected)));
      });

      it('fault 44: of an animation the first frame, be it one of 1000', async ({ task }) => {
        const frames = [RED, ...Array.from({ length: 999 }, (_, at): Colour => (at % 2 === 0 ? GREEN : BLUE))];
        const gif = await animation(frames).gif().toBuffer();
        expect((await sharp(gif).metadata()).pages).toBe(1000);
        expect(await look(gif)).toEqual(near(Array(4).fill(RED)));
        expect(await look(await animation([BLUE, RED]).webp({ lossless: true }).toBuffer())).toEqual(
          near(Array(4).fill(BLUE)),
        );
        seen(task, 'a GIF of 1000 frames: the first');
      });

      it.each([
        [1, [RED, GREEN, BLUE, WHITE]],
        [2, [GREEN, RED, WHITE, BLUE]],
        [3, [WHITE, BLUE, GREEN, RED]],
        [4, [BLUE, WHITE, RED, GREEN]],
        [5, [RED, BLUE, GREEN, WHITE]],
        [6, [BLUE, RED, WHITE, GREEN]],
        [7, [WHITE, GREEN, BLUE, RED]],
        [8, [GREEN, WHITE, RED, BLUE]],
      ])('EXIF orientation %i', async (orientation, expected) => {
        const bytes = await quarters()
          .withMetadata({ orientation })
          .jpeg({ quality: 95, chromaSubsampling: '4:4:4' })
          .toBuffer();
        expect(await look(bytes)).toEqual(near(expected));
      });

      it('squashes to a square, whatever the shape', async () => {
        expect(await look(await quarters().resize(200, 10, { fit: 'fill' }).png().toBuffer())).toEqual(
          near(QUARTERS, 40),
        );
        expect(await look(await plain(RED, 1, 1).png().toBuffer())).toEqual(near(Array(4).fill(RED)));
      });

      it('fault 44: a JPEG that is HTML as well is what its first bytes say', async ({ task }) => {
        const jpeg = await plain(RED).jpeg().toBuffer();
        const html = Buffer.from('<html><script>alert(1)</script></html>');
        expect(await look(Buffer.concat([jpeg, html]))).toEqual(near(Array(4).fill(RED)));
        expect(await look(Buffer.concat([html, jpeg]))).toBe('unreadable');
        // As a comment within: after the mark of the beginning, in a segment of its own.
        const comment = Buffer.concat([Buffer.from([0xff, 0xfe, 0, html.length + 2]), html]);
        const inside = Buffer.concat([jpeg.subarray(0, 2), comment, jpeg.subarray(2)]);
        expect(await look(inside)).toEqual(near(Array(4).fill(RED)));
        seen(task, 'JPEG and HTML in one: a picture where the JPEG comes first, else unreadable');
      });
    });

    describe('what must not', () => {
      it.each([
        ['nothing', Buffer.alloc(0)],
        ['an HTML page', Buffer.from('<!doctype html><title>Not found</title>')],
        ['an SVG', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')],
        ['a PDF', Buffer.from('%PDF-1.7\n')],
        ['a JPEG of three bytes', Buffer.from([0xff, 0xd8, 0xff])],
        ['a GIF of six bytes', Buffer.from('GIF89a')],
        ['a WebP of twelve bytes', Buffer.from('RIFF\0\0\0\0WEBP')],
      ])('%s is unreadable', async (_, bytes) => {
        expect(await look(bytes)).toBe('unreadable');
      });

      it('fault 44: an SVG with an entity bomb is unreadable', async ({ task }) => {
        const laughs = Array.from({ length: 9 }, (_, at) => `<!ENTITY l${at + 1} "${`&l${at};`.repeat(10)}">`).join('');
        const svg = `<?xml version="1.0"?><!DOCTYPE s [<!ENTITY l0 "ha">${laughs}]><svg><text>&l9;</text></svg>`;
        expect(await look(Buffer.from(svg))).toBe('unreadable');
        seen(task, 'an SVG that grows to 10^9 words: unreadable');
      });

      it('fault 44: an SVG with external references is unreadable, and nobody is asked', async ({ task }) => {
        const asked: string[] = [];
        const server = createServer((request, response) => {
          asked.push(request.url ?? '');
          response.end();
        });
        await once(server.listen(0, '127.0.0.1'), 'listening');
        const { port } = server.address() as AddressInfo;
        const svg = `<!DOCTYPE s SYSTEM "http://127.0.0.1:${port}/dtd"><svg><image href="http://127.0.0.1:${port}/a.png"/></svg>`;
        expect(await look(Buffer.from(svg))).toBe('unreadable');
        server.close();
        expect(asked).toEqual([]);
        seen(task, 'an SVG that refers to a server: unreadable, 0 requests');
      });

      it('an AVIF of a kilobyte and 48 megapixels is unreadable', async () => {
        const bytes = await largeAvif();
        expect(bytes.length).toBeLessThan(1500);
        expect(await look(bytes)).toBe('unreadable');
      });

      it.each(['avif', 'tiff'] as const)('%s is unreadable by its first bytes', async (format) => {
        const bytes = await plain(RED).toFormat(format).toBuffer();
        expect(formatOf(bytes)).toBeNull();
        expect(await look(bytes)).toBe('unreadable');
      });

      it('fault 44: a truncated JPEG, PNG or WebP is unreadable', async ({ task }) => {
        for (const format of ['jpeg', 'png', 'webp'] as const) {
          const bytes = await quarters(256).toFormat(format).toBuffer();
          expect(await look(bytes.subarray(0, Math.floor(bytes.length / 2))), format).toBe('unreadable');
        }
        seen(task, 'half a JPEG, PNG or WebP: unreadable');
      });

      it('a JPEG of which a bit of the header flipped is unreadable; of the body, it may be a picture', async () => {
        const good = await quarters(256).jpeg().toBuffer();
        const flipped = (at: number, bit: number) => {
          const bytes = Buffer.from(good);
          bytes[at] = (bytes[at] ?? 0) ^ (1 << bit);
          return bytes;
        };
        expect(await look(flipped(1, 3))).toBe('unreadable');
        // The length of the frame's header.
        expect(await look(flipped(good.indexOf(Buffer.from([0xff, 0xc0])) + 3, 4))).toBe('unreadable');
        for (let bit = 0; bit < 8; bit += 1) {
          const decoded = await decoder.decode(flipped(Math.floor(good.length * 0.7), bit));
          expect(['ok', 'unreadable']).toContain(decoded.status);
        }
      });

      it('fault 44: a PNG of 17,000 x 17,000 is too_large by its header alone', async ({ task }) => {
        const bomb = whitePng(17_000, 17_000);
        expect(await look(bomb)).toBe('too_large');
        expect(await look(whitePng(1_700, 1_700))).toEqual(near(Array(4).fill(WHITE)));
        expect(await look(pngHeader(17_000, 17_000))).toBe('too_large');
        expect(await look(pngHeader(5_000, 5_001))).toBe('too_large');
        expect(await look(pngHeader(5_000, 5_000))).toBe('unreadable');
        seen(task, `a PNG of 17000x17000 in ${Math.round(bomb.length / 1000)} kB: too_large by its header`);
      });

      it('a JPEG that claims 65,000 x 65,000 is too_large', async () => {
        const bytes = await plain(RED).jpeg().toBuffer();
        const frame = bytes.indexOf(Buffer.from([0xff, 0xc0]));
        bytes.writeUInt16BE(65_000, frame + 5);
        bytes.writeUInt16BE(65_000, frame + 7);
        expect(await look(bytes)).toBe('too_large');
      });
    });
  });
}
