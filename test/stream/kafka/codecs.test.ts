import { compressSync } from 'snappy';
import { describe, expect, it } from 'vitest';
import { installCodecs } from '#mner/stream/kafka/codecs.js';
import { CompressionCodecs, CompressionTypes } from '#mner/stream/kafka/kafkajs.js';

installCodecs();
const text = Buffer.from('the same again '.repeat(100));

describe('the codecs that kafkajs lacks', () => {
  it.each([CompressionTypes.Snappy, CompressionTypes.LZ4] as const)('pack and unpack (type %d)', async (type) => {
    const codec = CompressionCodecs[type]();
    const packed = await codec.compress({ buffer: text });
    expect(packed.length).toBeLessThan(text.length / 2);
    expect(await codec.decompress(packed)).toEqual(text);
  });

  it('unpack the blocks of xerial, as Java clients write snappy', async () => {
    const blocks = [text.subarray(0, 700), text.subarray(700)].map((part) => compressSync(part));
    const magic = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1]);
    const framed = blocks.flatMap((block) => {
      const length = Buffer.alloc(4);
      length.writeInt32BE(block.length);
      return [length, block];
    });
    const codec = CompressionCodecs[CompressionTypes.Snappy]();
    expect(await codec.decompress(Buffer.concat([magic, ...framed]))).toEqual(text);
  });

  it('unpack zstd, and refuse to pack it', async () => {
    const codec = CompressionCodecs[CompressionTypes.ZSTD]();
    const packed = Buffer.from('28b52ffd204bb50000787468652073616d6520616761696e2001001169d601', 'hex');
    expect(String(await codec.decompress(packed))).toBe('the same again '.repeat(5));
    await expect(codec.compress({ buffer: text })).rejects.toThrow('reading only');
  });
});
