import sharp from 'sharp';
import { expect, it } from 'vitest';
import { DRAWN_SIDE, drawFindings } from '#mner/cli/image/draw.js';
import type { Pixels } from '#mner/image/decode.js';

/** White, as the decoding process has it. */
const white = (width: number, height: number): Pixels => ({
  status: 'ok',
  pixels: new Uint8Array(DRAWN_SIDE * DRAWN_SIDE * 3).fill(255),
  width,
  height,
});

async function drawn(...args: Parameters<typeof drawFindings>) {
  const { data, info } = await sharp(await drawFindings(...args))
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  /** The colour at a place in shares of width and height. */
  const at = (x: number, y: number) => {
    const place = (Math.floor(y * info.height) * info.width + Math.floor(x * info.width)) * info.channels;
    return [...data.subarray(place, place + 3)];
  };
  return { width: info.width, height: info.height, at };
}

const WHITE = [255, 255, 255];
const YELLOW = [255, 210, 63];

it.each([
  [800, 400, 800, 400],
  // Its labels would hide it.
  [48, 24, 480, 240],
  [3000, 1500, 1024, 512],
  [1, 5000, 1, 1024],
])('a picture of %d x %d is drawn as %d x %d', async (width, height, ...sides) => {
  const picture = await drawn(white(width, height), [], null);
  expect([picture.width, picture.height]).toEqual(sides);
  expect(picture.at(0.5, 0.5)).toEqual(WHITE);
});

it('draws a box around each object, and a label whose words are no markup', async () => {
  const object = { object: 'a <b> & c', score: 0.5, box: [0.25, 0.25, 0.75, 0.75] } as const;
  const { at } = await drawn(white(800, 400), [object], null);
  for (const [x, y] of [
    [0.25, 0.5],
    [0.75, 0.5],
    [0.6, 0.25],
    [0.6, 0.75],
  ] as const)
    expect(at(x, y)).toEqual(YELLOW);
  expect(at(0.5, 0.5)).toEqual(WHITE);
  expect(at(0.1, 0.1)).toEqual(WHITE);
});

it('a label of an object in the last corner is not cut off by the edges', async () => {
  const object = { object: 'basketball', score: 0.5, box: [0.95, 0.98, 1, 1] } as const;
  const { at } = await drawn(white(800, 400), [object], null);
  // 15 characters: 130 x 20 pixels, which the box leaves no room for.
  expect(at(672 / 800, 382 / 400)).toEqual(YELLOW);
  expect(at(668 / 800, 382 / 400)).toEqual(WHITE);
});

it('veils the cells of the grid, row by row, the more the less they count', async () => {
  const { at } = await drawn(
    white(400, 200),
    [],
    [
      [1, 0.5],
      [0, 1],
    ],
  );
  const [first, second, third, fourth] = [at(0.25, 0.25), at(0.75, 0.25), at(0.25, 0.75), at(0.75, 0.75)];
  expect([first, fourth]).toEqual([WHITE, WHITE]);
  expect(second?.[0]).toBeLessThan(200);
  expect(third?.[0]).toBeLessThan((second?.[0] as number) - 50);
});
