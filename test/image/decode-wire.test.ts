import { describe, expect, it } from 'vitest';
import { readMessage } from '#mner/image/decode-wire.js';

const LIMITS = { size: 2, maxPixels: 20 };
const sides = { width: 5, height: 4 };
const answer = (decoded: unknown) => ({ type: 'answer', decoded });

it.each([
  [{ type: 'ready' }],
  [answer({ status: 'ok', pixels: new Uint8Array(12), ...sides })],
  [answer({ status: 'unreadable', detail: 'damaged' })],
  [answer({ status: 'too_large', detail: 'large' })],
])('takes what an honest process says: %j', (message) => {
  expect(readMessage(message, LIMITS)).toEqual(message);
});

it.each([
  [null],
  ['ready'],
  [{}],
  [{ type: 'other' }],
  [answer(undefined)],
  [answer({ status: 'ok', ...sides })],
  [answer({ status: 'ok', pixels: new Uint8Array(13), ...sides })],
  [answer({ status: 'ok', pixels: Array(12).fill(0), ...sides })],
  [answer({ status: 'ok', pixels: new Uint8Array(12) })],
  [answer({ status: 'ok', pixels: new Uint8Array(12), width: 0, height: 4 })],
  [answer({ status: 'ok', pixels: new Uint8Array(12), width: 5, height: '4' })],
  [answer({ status: 'ok', pixels: new Uint8Array(12), width: 7, height: 3 })],
  [answer({ status: 'used', detail: '' })],
  [answer({ status: 'unreadable' })],
])('takes nothing else: %j', (message) => {
  expect(readMessage(message, LIMITS)).toBeNull();
});

describe('where a grey picture is asked for', () => {
  const pixels = new Uint8Array(12);
  const limits = { ...LIMITS, greySide: 4 };

  it('takes one of at most that many pixels a side', () => {
    const message = answer({
      status: 'ok',
      pixels,
      ...sides,
      grey: { width: 4, height: 3, pixels: new Uint8Array(12) },
    });
    expect(readMessage(message, limits)).toEqual(message);
  });

  it.each([
    [undefined],
    [{ width: 4, height: 3, pixels: new Uint8Array(11) }],
    [{ width: 5, height: 1, pixels: new Uint8Array(5) }],
    [{ width: 0, height: 0, pixels: new Uint8Array(0) }],
    [{ width: 1.5, height: 2, pixels: new Uint8Array(3) }],
    [{ width: '4', height: 1, pixels: new Uint8Array(4) }],
    [{ width: 4, height: 1, pixels: 'grey' }],
  ])('takes nothing else: %j', (grey) => {
    expect(readMessage(answer({ status: 'ok', pixels, ...sides, grey }), limits)).toBeNull();
  });
});

it('keeps only what belongs to an answer, and not much of its words', () => {
  const message = answer({ status: 'unreadable', detail: 'x'.repeat(1000), pixels: new Uint8Array(12), more: 1 });
  expect(readMessage(message, LIMITS)).toEqual(answer({ status: 'unreadable', detail: 'x'.repeat(200) }));
});
