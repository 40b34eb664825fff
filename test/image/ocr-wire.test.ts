import { expect, it } from 'vitest';
import { readMessage } from '#mner/image/ocr-wire.js';

it.each([[{ type: 'ready' }], [{ type: 'answer', words: '' }], [{ type: 'answer', words: 'FC Barcelona' }]])(
  'takes what an honest process says: %j',
  (message) => {
    expect(readMessage(message)).toEqual(message);
  },
);

it.each([
  [null],
  [undefined],
  ['ready'],
  [{}],
  [{ type: 'other' }],
  [{ type: 'answer' }],
  [{ type: 'answer', words: 7 }],
])('takes nothing else: %j', (message) => {
  expect(readMessage(message)).toBeNull();
});

it('keeps only what belongs to an answer, and not much of its words', () => {
  const message = { type: 'answer', words: `\0${'x'.repeat(1000)}`, more: 1 };
  expect(readMessage(message)).toEqual({ type: 'answer', words: 'x'.repeat(300) });
});
