import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { createCodec, type Remembered } from '#mner/image/cache/codec.js';

const BUNDLE = { version: 'vision 1.0.0', cells: 25, cellWidth: 192, embeddingWidth: 384 };
const codec = createCodec(BUNDLE);
const FULL: Remembered = {
  status: 'used',
  features: {
    grid: Uint16Array.from({ length: 25 * 192 }, (_, at) => at),
    embedding: Uint16Array.from({ length: 384 }, (_, at) => 65_535 - at),
    tags: Array.from({ length: 10 }, (_, at) => ({ tag: 1000 - at, score: 1 / 2 ** at })),
    objects: Array.from({ length: 5 }, (_, at) => ({ class: 79 - at, score: 0.5, box: [0, 0.25, 0.75, 1] as const })),
  },
};
const BARE: Remembered = {
  status: 'used',
  features: { grid: new Uint16Array(4800), embedding: new Uint16Array(384), tags: [], objects: [] },
};

it('gives back what it was given', () => {
  expect(codec.decode(codec.encode(FULL))).toEqual(FULL);
  expect(codec.decode(codec.encode(BARE))).toEqual(BARE);
});

it('takes 10,476 bytes for a picture, and 8 for a failure', () => {
  expect(codec.encode(FULL)).toHaveLength(10_476);
  expect(codec.encode({ status: 'not_found' })).toHaveLength(8);
});

describe('the words of a picture', () => {
  const withWords = (words: string): Remembered => ({ ...FULL, features: { ...FULL.features, words } });

  it.each(['', 'FC Barcelona', 'Zoë 🎉', '🎉'.repeat(300)])('are given back: %j', (words) => {
    const value = codec.encode(withWords(words));
    expect(value).toHaveLength(10_476 + 2 + Buffer.byteLength(words));
    expect(value.length).toBeLessThan(16_384);
    expect(codec.decode(value)).toEqual(withWords(words));
  });

  it('that were not read are another thing than none', () => {
    const entry = codec.decode(codec.encode(FULL));
    expect(entry?.status === 'used' && 'words' in entry.features).toBe(false);
  });

  it('are a miss when they are not as long as they say', () => {
    const seed = crc32('vision 1.0.0/25/192/384');
    const body = codec.encode(FULL).subarray(0, -4);
    for (const tail of ['00', '0000', '0100', '0200', '010041', '020041']) {
      const value = Buffer.concat([body, Buffer.from(tail, 'hex'), Buffer.alloc(4)]);
      value.writeUInt32LE(crc32(value.subarray(0, -4), seed), value.length - 4);
      expect(codec.decode(value) !== null, tail).toBe(tail === '0000' || tail === '010041');
    }
  });
});

it.each(['unreachable', 'refused', 'not_found', 'too_large', 'unreadable', 'timed_out', 'rate_limited'] as const)(
  'remembers %s',
  (status) => {
    expect(codec.decode(codec.encode({ status }))).toEqual({ status });
  },
);

it('does not hold on to the buffer that it reads', () => {
  const value = codec.encode(FULL);
  const entry = codec.decode(value);
  value.fill(0);
  expect(entry).toEqual(FULL);
});

it('reads at any address', () => {
  const shifted = Buffer.concat([Buffer.alloc(1), codec.encode(FULL)]).subarray(1);
  expect(codec.decode(shifted)).toEqual(FULL);
});

it('refuses features of another shape', () => {
  const features = { ...BARE.features, embedding: new Uint16Array(383) };
  expect(() => codec.encode({ status: 'used', features })).toThrow(RangeError);
});

describe('is a miss', () => {
  const good = codec.encode(FULL);

  it('when any byte is wrong', () => {
    const wrong: number[] = [];
    for (let at = 0; at < good.length; at += at < 16 || at > good.length - 80 ? 1 : 97) {
      const bad = Buffer.from(good);
      bad[at] = (bad[at] ?? 0) ^ 0x10;
      if (codec.decode(bad) !== null) wrong.push(at);
    }
    expect(wrong).toEqual([]);
  });

  it('when it is cut off, or too long', () => {
    for (const length of [0, 1, 4, 7, 8, 100, good.length - 1])
      expect(codec.decode(good.subarray(0, length))).toBeNull();
    expect(codec.decode(Buffer.concat([good, Buffer.alloc(1)]))).toBeNull();
  });

  it('when another program wrote it', () => {
    for (const value of ['', 'OK', '{"json":true}', '\x01\x00', 'x'.repeat(10_476)])
      expect(codec.decode(Buffer.from(value))).toBeNull();
  });

  it('when it is of another vision bundle', () => {
    expect(createCodec({ ...BUNDLE, version: 'vision 1.0.1' }).decode(good)).toBeNull();
    expect(createCodec({ ...BUNDLE, cells: 192, cellWidth: 25 }).decode(good)).toBeNull();
  });

  it('when it is of another layout, or of a status that is not known, be its checksum right', () => {
    const seed = crc32('vision 1.0.0/25/192/384');
    const sealed = (...bytes: number[]) => {
      const out = Buffer.alloc(bytes.length + 4);
      out.set(bytes);
      out.writeUInt32LE(crc32(out.subarray(0, bytes.length), seed), bytes.length);
      return out;
    };
    expect(codec.decode(sealed(2, 3, 0, 0))).toEqual({ status: 'not_found' });
    expect(codec.decode(sealed(1, 3, 0, 0))).toBeNull();
    expect(codec.decode(sealed(3, 3, 0, 0))).toBeNull();
    expect(codec.decode(sealed(2, 99, 0, 0))).toBeNull();
    expect(codec.decode(sealed(2, 3, 0, 0, 7))).toBeNull();
    expect(codec.decode(sealed(2, 0, 0, 0))).toBeNull();
    expect(codec.decode(sealed(2, 0, 255, 255))).toBeNull();
  });
});
