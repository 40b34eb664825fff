import { describe, expect, it } from 'vitest';
import { MnerError } from '#mner/errors.js';
import { deadLetter } from '#mner/stream/dead-letter.js';
import { textHeader } from '#mner/stream/headers.js';
import { atSource, mayRetry, retryRecord, waitMsOf } from '#mner/stream/retry-topic.js';
import { record } from './records.js';

const retry = { topic: 'retry', delayMs: 60_000, attempts: 3 };
const error = new MnerError('picture_unavailable');
const first = record(7, {
  topic: 'in',
  partition: 2,
  timestamp: 1000,
  key: Buffer.from('k'),
  headers: [textHeader('a', '1')],
});
/** As it is read from the retry topic, at some offset of its own. */
const back = (from = first) =>
  record(0, { ...retryRecord(atSource(from, retry), error, 61_000), topic: 'retry', timestamp: 2000 });

describe('a record that is tried again later', () => {
  it('has its own bytes, says what was wrong and how often, and where it first lay, however often it comes', () => {
    const twice = back(back());
    expect([twice.key, twice.value]).toEqual([first.key, first.value]);
    const texts = twice.headers.map(([name, value]) => [name, String(value)]);
    expect(texts).toContainEqual(['a', '1']);
    expect(texts).toContainEqual(['mner-attempts', '2']);
    expect(texts.filter(([name]) => name === 'mner-not-before')).toEqual([
      ['mner-not-before', '1970-01-01T00:01:01.000Z'],
    ]);
    expect(atSource(twice, retry)).toMatchObject({ topic: 'in', partition: 2, offset: 7n, timestamp: 1000 });
    const dead = deadLetter(atSource(twice, retry), error);
    expect(dead.headers).toContainEqual(textHeader('mner-source-topic', 'in'));
    expect(dead.headers).toContainEqual(textHeader('mner-attempts', '3'));
    expect(dead.headers.map(([name]) => name)).not.toContain('mner-not-before');
  });

  it('may be tried so often in all, and no more', () => {
    expect([first, back(), back(back())].map((one) => mayRetry(one, retry))).toEqual([true, true, false]);
  });

  it('waits until its time, and never longer than the delay', () => {
    expect(waitMsOf(back(), retry, 1000)).toBe(60_000);
    expect(waitMsOf(back(), retry, 41_000)).toBe(20_000);
    expect(waitMsOf(back(), retry, 61_000)).toBe(0);
    // The clock was set back by an hour.
    expect(waitMsOf(back(), retry, -3_600_000)).toBe(60_000);
    expect(waitMsOf(record(1, { topic: 'retry', headers: [textHeader('mner-not-before', 'soon')] }), retry, 0)).toBe(0);
  });

  it('is believed only from the retry topic: anybody may write such headers', () => {
    const forged = { ...back(), topic: 'in' };
    expect(atSource(forged, retry)).toBe(forged);
    expect(waitMsOf(forged, retry, 0)).toBe(0);
    expect(atSource(back(), undefined)).toEqual(back());
  });
});
