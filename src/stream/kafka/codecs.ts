import { decompress as zstd } from 'fzstd';
import { compressFrame, decompressFrame } from 'lz4-napi';
import { compress as snappy, uncompress as unsnappy } from 'snappy';
import { CompressionCodecs, CompressionTypes } from './kafkajs.js';

/** How output is compressed. Input may come in any of these, and in zstd, which we only read. */
export const COMPRESSIONS = ['none', 'gzip', 'snappy', 'lz4'] as const;
export type Compression = (typeof COMPRESSIONS)[number];

/** What kafkajs calls to pack and unpack the records of a batch. */
interface Codec {
  compress(encoder: { readonly buffer: Buffer }): Promise<Buffer>;
  decompress(bytes: Buffer): Promise<Buffer>;
}

const SNAPPY: Codec = {
  compress: ({ buffer }) => snappy(buffer),
  decompress: async (bytes) => Buffer.concat(await Promise.all(unframe(bytes).map(unpackSnappy))),
};

/** Kafka reads LZ4 frames with independent blocks only; that is how lz4-napi writes them. */
const LZ4: Codec = {
  compress: ({ buffer }) => compressFrame(buffer),
  decompress: (bytes) => decompressFrame(bytes),
};

const ZSTD: Codec = {
  compress: () => Promise.reject(new Error('zstd is for reading only')),
  decompress: async (bytes) => Buffer.from(zstd(bytes)),
};

/** Teaches kafkajs, which brings gzip alone, the other codecs. It keeps them for the whole process; calling twice is safe. */
export function installCodecs(): void {
  CompressionCodecs[CompressionTypes.Snappy] = () => SNAPPY;
  CompressionCodecs[CompressionTypes.LZ4] = () => LZ4;
  CompressionCodecs[CompressionTypes.ZSTD] = () => ZSTD;
}

export function compressionType(compression: Compression): number {
  return {
    none: CompressionTypes.None,
    gzip: CompressionTypes.GZIP,
    snappy: CompressionTypes.Snappy,
    lz4: CompressionTypes.LZ4,
  }[compression];
}

const XERIAL = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]);

/**
 * Java clients write snappy in the framing of xerial: a magic, two versions, then blocks behind their length. librdkafka and
 * we write one bare block, which Java reads too.
 */
function unframe(bytes: Buffer): Buffer[] {
  if (!bytes.subarray(0, XERIAL.length).equals(XERIAL)) return [bytes];
  const blocks: Buffer[] = [];
  for (let at = XERIAL.length + 8; at < bytes.length; ) {
    const length = bytes.readInt32BE(at);
    blocks.push(bytes.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return blocks;
}

async function unpackSnappy(block: Buffer): Promise<Buffer> {
  const unpacked = await unsnappy(block, { asBuffer: true });
  return typeof unpacked === 'string' ? Buffer.from(unpacked) : unpacked;
}
