import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { tarFiles } from '#mner/cli/bench/tar.js';
import { createDecoder } from '#mner/image/decode.js';
import { formatOf } from '#mner/image/decode-format.js';
import type { Event } from '#mner/telemetry/events.js';
import { heapGauge } from '../support/heap.js';
import { animation, BLUE, GREEN, quarters, RED } from './pictures.js';

const SHARD = join(process.env.MNER_TEST_DATA ?? '../shared/data', 'tweet_images', 'train.tar');
const COUNT = 600;
/** `MNER_FUZZ_SEED=$RANDOM` looks for more. */
const SEED = Number(process.env.MNER_FUZZ_SEED) || 20_261_130;
const LIMIT = 512 * 2 ** 20;
const SIZE = 32;

const events: Event[] = [];
const decoder = createDecoder({ size: SIZE, maxMemoryBytes: LIMIT, emit: (event) => events.push(event) });
afterAll(() => decoder.stop());

let state = SEED;
/** A whole number from 0 to below `below` (mulberry32). */
function random(below: number): number {
  state = (state + 0x6d2b79f5) | 0;
  let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
  return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
}

function pick<T>(list: readonly T[]): T {
  return list[random(list.length)] as T;
}

/** Ways to damage a picture. Most damage is early: that is where the sizes and tables stand. */
const DAMAGES: ((bytes: Buffer, other: Buffer) => Buffer)[] = [
  (bytes) => {
    const at = place(bytes);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << random(8));
    return bytes;
  },
  (bytes) => {
    bytes[place(bytes)] = pick([0, 1, 0x7f, 0x80, 0xd8, 0xd9, 0xff]);
    return bytes;
  },
  (bytes) => {
    if (bytes.length > 4)
      bytes.writeUInt32BE(pick([0, 1, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff]), random(bytes.length - 4));
    return bytes;
  },
  (bytes) => bytes.subarray(0, random(bytes.length)),
  (bytes) => {
    const [start, length] = [place(bytes), random(200)];
    return Buffer.concat([bytes.subarray(0, start), bytes.subarray(start + length)]);
  },
  (bytes) => {
    const [start, length] = [place(bytes), random(2000)];
    return Buffer.concat([bytes.subarray(0, start + length), bytes.subarray(start)]);
  },
  (bytes, other) => {
    const [start, from] = [place(bytes), place(other)];
    return Buffer.concat([bytes.subarray(0, start), other.subarray(from, from + random(5000)), bytes.subarray(start)]);
  },
  (bytes) => bytes.fill(random(256), place(bytes), place(bytes)),
];

function place(bytes: Buffer): number {
  return random(Math.max(1, random(2) === 0 ? Math.min(bytes.length, 700) : bytes.length));
}

async function seeds(): Promise<Buffer[]> {
  const drawn = [
    quarters(96).jpeg(),
    quarters(96).jpeg({ progressive: true }).withMetadata({ orientation: 6 }),
    quarters(96).toColourspace('cmyk').jpeg(),
    quarters(96).png(),
    quarters(96).ensureAlpha().toColourspace('rgb16').png({ progressive: true }),
    quarters(96).png({ palette: true }),
    quarters(96).webp(),
    quarters(96).ensureAlpha(0.5).webp({ lossless: true }),
    animation([RED, GREEN, BLUE], 64).webp(),
    animation([RED, GREEN, BLUE], 64).gif(),
  ];
  const found: Buffer[] = [];
  if (existsSync(SHARD)) {
    for (const { bytes } of tarFiles(SHARD)) {
      if (formatOf(bytes) !== null) found.push(Buffer.from(bytes));
      if (found.length === 8) break;
    }
  }
  return [...(await Promise.all(drawn.map((picture) => picture.toBuffer()))), ...found];
}

/** The most memory that a process ever had in use; 0 where the system does not tell. */
function peakBytes(pid: number): number {
  const status = existsSync(`/proc/${pid}/status`) ? readFileSync(`/proc/${pid}/status`, 'utf8') : '';
  return Number(/^VmHWM:\s*(\d+)/m.exec(status)?.[1] ?? 0) * 1024;
}

it(`${COUNT} damaged pictures hurt nobody (seed ${SEED})`, { timeout: 240_000 }, async () => {
  console.log(`MNER_FUZZ_SEED=${SEED}`);
  const good = await seeds();
  for (const bytes of good) expect((await decoder.decode(bytes)).status).toBe('ok');
  const used = heapGauge();
  const before = used();
  const counts: Record<string, number> = {};
  let peak = 0;
  for (let round = 0; round < COUNT; round += 4) {
    const bad = Array.from({ length: 4 }, () => {
      let bytes = Buffer.from(pick(good));
      for (let times = 1 + random(3); times > 0; times -= 1) bytes = pick(DAMAGES)(bytes, pick(good)) as typeof bytes;
      return bytes;
    });
    for (const { status } of await Promise.all(bad.map((bytes) => decoder.decode(bytes)))) {
      counts[status] = (counts[status] ?? 0) + 1;
    }
    peak = Math.max(peak, ...decoder.pids.map(peakBytes));
  }
  // The worker is alive and has not grown. A decoder that crashed would be worth a look, but hurts nobody.
  expect(used() - before).toBeLessThan(50);
  // The limit is one of data; what is counted here holds the pages of programs and libraries too.
  expect(peak).toBeLessThan(LIMIT + 100 * 2 ** 20);
  for (const bytes of good) expect((await decoder.decode(bytes)).status).toBe('ok');
  const ends = events.filter(({ type }) => type === 'decoder_end').length;
  console.log(
    `${JSON.stringify(counts)}, ${ends} decoders ended, at most ${Math.round(peak / 2 ** 20)} MB in a decoding process`,
  );
  expect(Object.keys(counts).sort()).toEqual(expect.arrayContaining(['ok', 'unreadable']));
  expect(Object.values(counts).reduce((sum, count) => sum + count, 0)).toBe(COUNT);
});
