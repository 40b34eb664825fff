import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createEncoder } from '#mner/text/encode.js';
import { formOf, readNeighbours } from '#mner/text/neighbours.js';

interface Case {
  word: string;
  form: string;
  rows: number[];
  weights: number[];
}

// Both written by `python -m mner.fixtures.context`.
const { neighbours: cases }: { neighbours: Case[] } = JSON.parse(
  readFileSync('test/fixtures/text/context.json', 'utf8'),
);
const file = readFileSync('test/fixtures/text/neighbours.bin');
const rounded = (values: Iterable<number>) => Array.from(values, (value) => Math.round(value * 1e7) / 1e7);

describe('the neighbours of a word', () => {
  it.each(cases)('$word', ({ word, form, rows, weights }) => {
    expect(formOf(word)).toBe(form);
    const found = { rows: new Uint32Array(6).fill(9), weights: new Float32Array(6).fill(9) };
    readNeighbours(file).write(word, found.rows, found.weights, 1);
    expect(Array.from(found.rows)).toEqual([9, ...rows, 9]);
    expect(rounded(found.weights)).toEqual([9, ...weights, 9]);
  });

  it('stand in a row of words one after the other, also those that come from the memory of words', () => {
    const encoder = createEncoder({
      tokenizer: JSON.parse(readFileSync('test/fixtures/bundles/ham-tiny/tokenizer.json', 'utf8')),
      settings: { max_pieces: 64, pieces_per_word: 8, pieces_per_mention: 3 },
      neighbours: readNeighbours(file),
    });
    const known = cases.find(({ word }) => word === 'Kobe')!;
    for (let time = 0; time < 2; time++) {
      const row = encoder.encode(['Kobe', 'nobody', '#kobe']).windows[0]!;
      expect(Array.from(row.neighbours)).toEqual([...known.rows, 0, 0, 0, 0, ...known.rows]);
      expect(rounded(row.neighbourWeights)).toEqual([...known.weights, 0, 0, 0, 0, ...known.weights]);
    }
  });

  it('are none in an empty table', () => {
    const empty = Buffer.alloc(20);
    empty.write('MNERNB1\n');
    const [rows, weights] = [new Uint32Array(4).fill(7), new Float32Array(4).fill(7)];
    readNeighbours(empty).write('Kobe', rows, weights, 0);
    expect([...rows, ...weights]).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
  });
});

describe('a file of neighbours is refused', () => {
  const words = file.readUInt32LE(8);
  const rowsAt = 16 + 4 * (words + 1);
  const namesAt = rowsAt + 32 * words;

  it.each<[string, (bytes: Buffer) => Buffer | number, RegExp]>([
    ['when it is of another kind', (bytes) => bytes.write('PK'), /of another kind/],
    ['when it is empty', () => Buffer.alloc(0), /of another kind/],
    ['when it is cut off', (bytes) => bytes.subarray(0, -1), /cut off, or too long/],
    ['when it goes on', (bytes) => Buffer.concat([bytes, bytes]), /cut off, or too long/],
    ['when it claims more words', (bytes) => bytes.writeUInt32LE(0xffffffff, 8), /cut off, or too long/],
    ['when its names overlap', (bytes) => bytes.writeUInt32LE(0, 20), /one after the other/],
    ['when its names are not sorted', (bytes) => bytes.write('\xff', namesAt, 'latin1'), /order of their bytes/],
    ['when a row is none of the table', (bytes) => bytes.writeUInt32LE(99, rowsAt), /a row that the table lacks/],
    ['when a weight is no number', (bytes) => bytes.writeFloatLE(NaN, rowsAt + 16 * words), /no number/],
  ])('%s', (_what, change, message) => {
    const bytes = Buffer.from(file);
    const changed = change(bytes);
    expect(() => readNeighbours(typeof changed === 'number' ? bytes : changed)).toThrow(message);
  });
});
