import { expect, it } from 'vitest';
import { readData } from '#mner/image/fetch/data.js';

it.each(['', 'a', 'ab', 'abc', 'abcd'])('reads base64 of "%s", padded or not', (text) => {
  const bytes = Buffer.from(text);
  const base64 = bytes.toString('base64');
  const expected = text === '' ? { status: 'unreadable' } : { status: 'ok', bytes };
  expect(readData(base64)).toMatchObject(expected);
  expect(readData(base64.replace(/=+$/, ''))).toMatchObject(expected);
});

it.each(['!', 'abc d', 'abcde', 'a===', 'ab=', 'a=bc', 'YWJj\n', 'data:image/png;base64,YWJj', 'YW-_'])(
  'calls "%s" unreadable',
  (data) => {
    expect(readData(data)).toMatchObject({ status: 'unreadable' });
  },
);

it('measures the picture, not its base64', () => {
  expect(readData(Buffer.alloc(1000).toString('base64'), 1000)).toMatchObject({ status: 'ok' });
  expect(readData(Buffer.alloc(1001).toString('base64'), 1000)).toMatchObject({ status: 'too_large' });
  expect(readData('!'.repeat(10_000), 1000)).toMatchObject({ status: 'too_large' });
});
