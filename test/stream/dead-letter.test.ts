import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { MnerError } from '#mner/errors.js';
import { deadLetter } from '#mner/stream/dead-letter.js';
import { textHeader } from '#mner/stream/headers.js';
import { record } from './records.js';

const error = new MnerError('bad_json', 'Not JSON at position 3.');
const bytes = Buffer.from([0, 255, 1, 123]);
const broken = record(81231n, {
  topic: 'tweets',
  partition: 3,
  key: Buffer.from('k'),
  value: bytes,
  headers: [textHeader('traceparent', '00-1-2-01'), ['raw', Buffer.from([255])]],
  timestamp: Date.UTC(2026, 0, 2, 3, 4, 5, 6),
});
const texts = (headers: readonly (readonly [string, Buffer])[]) =>
  headers.map(([name, value]) => [name, String(value)]);

describe('a dead letter', () => {
  it("holds the record's own bytes, key and headers, and says what was wrong and where it lies", () => {
    const letter = deadLetter(broken, error);
    expect(letter.key).toEqual(Buffer.from('k'));
    expect(letter.value).toBe(bytes);
    expect(letter.headers.slice(0, 2)).toEqual(broken.headers);
    expect(texts(letter.headers.slice(2))).toEqual([
      ['mner-error-code', 'bad_json'],
      ['mner-error-class', 'poison'],
      ['mner-error-message', 'Not JSON at position 3.'],
      ['mner-source-topic', 'tweets'],
      ['mner-source-partition', '3'],
      ['mner-source-offset', '81231'],
      ['mner-source-timestamp', '2026-01-02T03:04:05.006Z'],
      ['mner-attempts', '1'],
    ]);
  });

  it('counts on when a record comes back, and says each thing once', () => {
    const once = deadLetter(broken, error);
    const twice = deadLetter(record(7, { ...once, topic: 'tweets', timestamp: 0 }), new MnerError('no_text'));
    const names = twice.headers.map(([name]) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(texts(twice.headers)).toContainEqual(['mner-attempts', '2']);
    expect(texts(twice.headers)).toContainEqual(['mner-error-code', 'no_text']);
    expect(texts(twice.headers)).toContainEqual(['mner-source-offset', '7']);
    expect(twice.value).toBe(bytes);
  });

  it.each(['', 'many', '-3', '1e3', '99999999999999'])('counts from the start where mner-attempts is %j', (value) => {
    const odd = record(0, { headers: [textHeader('mner-attempts', value)] });
    expect(texts(deadLetter(odd, error).headers)).toContainEqual(['mner-attempts', '1']);
  });

  it('without its value says so, and what the value was', () => {
    const letter = deadLetter(broken, error, 'without_value');
    expect([letter.key, letter.value]).toEqual([Buffer.from('k'), null]);
    expect(texts(letter.headers)).toContainEqual(['mner-truncated', 'true']);
    expect(texts(letter.headers)).toContainEqual([
      'mner-value-sha256',
      createHash('sha256').update(bytes).digest('hex'),
    ]);
    expect(letter.headers.slice(0, 2)).toEqual(broken.headers);
  });

  it('bare holds nothing of the record but where it lies', () => {
    const letter = deadLetter(broken, error, 'bare');
    expect([letter.key, letter.value]).toEqual([null, null]);
    expect(letter.headers.every(([name]) => name.startsWith('mner-'))).toBe(true);
  });

  it.each([-1, 8.64e15 + 1, 2 ** 63])('has a timestamp that is no date (%d) as a number', (timestamp) => {
    const headers = texts(deadLetter(record(0, { timestamp }), error).headers);
    expect(headers).toContainEqual(['mner-source-timestamp', String(timestamp)]);
  });
});
