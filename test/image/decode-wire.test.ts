import { expect, it } from 'vitest';
import { readMessage } from '#mner/image/decode-wire.js';

const answer = (decoded: unknown) => ({ type: 'answer', decoded });

it.each([
  [{ type: 'ready' }],
  [answer({ status: 'ok', pixels: new Uint8Array(12) })],
  [answer({ status: 'unreadable', detail: 'damaged' })],
  [answer({ status: 'too_large', detail: 'large' })],
])('takes what an honest process says: %j', (message) => {
  expect(readMessage(message, { size: 2 })).toEqual(message);
});

it.each([
  [null],
  ['ready'],
  [{}],
  [{ type: 'other' }],
  [answer(undefined)],
  [answer({ status: 'ok' })],
  [answer({ status: 'ok', pixels: new Uint8Array(13) })],
  [answer({ status: 'ok', pixels: Array(12).fill(0) })],
  [answer({ status: 'used', detail: '' })],
  [answer({ status: 'unreadable' })],
])('takes nothing else: %j', (message) => {
  expect(readMessage(message, { size: 2 })).toBeNull();
});

it('keeps only what belongs to an answer, and not much of its words', () => {
  const message = answer({ status: 'unreadable', detail: 'x'.repeat(1000), pixels: new Uint8Array(12), more: 1 });
  expect(readMessage(message, { size: 2 })).toEqual(answer({ status: 'unreadable', detail: 'x'.repeat(200) }));
});
