import { describe, expect, it } from 'vitest';
import { textHeader } from '#mner/stream/headers.js';
import { fromMessage, toMessage } from '#mner/stream/kafka/records.js';

describe('headers on the way to and from kafkajs', () => {
  it('keep what an object would lose on the way to kafkajs', () => {
    const named = [
      textHeader('__proto__', 'x'),
      textHeader('constructor', 'y'),
      textHeader('a', '1'),
      textHeader('b', 'ü'),
      textHeader('a', '2'),
    ];
    const message = toMessage(0, { key: null, value: null, headers: named });
    expect(Object.keys(message.headers ?? {})).toEqual(['__proto__', 'constructor', 'a', 'b']);
    expect(message.headers?.a).toEqual([Buffer.from('1'), Buffer.from('2')]);
  });

  it('without a value are read as empty, since kafkajs cannot write them', () => {
    const entry = { key: null, value: null, timestamp: '5', attributes: 0, offset: '7' };
    const read = fromMessage('t', 1, { ...entry, headers: JSON.parse('{"none":null}') });
    expect(read).toMatchObject({ offset: 7n, partition: 1, timestamp: 5, headers: [['none', Buffer.alloc(0)]] });
  });
});
