import { describe, expect, it } from 'vitest';
import { headerBytes, headerText, textHeader, withoutHeaders } from '#mner/stream/headers.js';

const headers = [textHeader('a', '1'), textHeader('b', 'ü'), textHeader('a', '2')];

describe('headers', () => {
  it('are read by name, the last of a repeated one', () => {
    expect(headerText(headers, 'a')).toBe('2');
    expect(headerText(headers, 'absent')).toBeUndefined();
    expect(withoutHeaders(headers, new Set(['a']))).toEqual([textHeader('b', 'ü')]);
    expect(headerBytes(headers)).toBe(7);
  });
});
