import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readLines } from '#mner/cli/lines.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'mner-lines-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function linesOf(content: string | Buffer): Promise<[number, string][]> {
  const file = join(folder, 'lines');
  writeFileSync(file, content);
  const lines: [number, string][] = [];
  for await (const { number, bytes } of readLines(file)) lines.push([number, bytes.toString('latin1')]);
  return lines;
}

it.each<[what: string, content: string, lines: [number, string][]]>([
  [
    'plain lines',
    'a\nb\n',
    [
      [1, 'a'],
      [2, 'b'],
    ],
  ],
  [
    'a last line without its newline',
    'a\nb',
    [
      [1, 'a'],
      [2, 'b'],
    ],
  ],
  [
    'CRLF',
    'a\r\nb\r\n',
    [
      [1, 'a'],
      [2, 'b'],
    ],
  ],
  [
    'a last line with CR alone',
    'a\r\nb\r',
    [
      [1, 'a'],
      [2, 'b'],
    ],
  ],
  [
    'blank lines, which are counted',
    '\n \t\na\n\r\n\nb\n\n',
    [
      [3, 'a'],
      [6, 'b'],
    ],
  ],
  ['an empty file', '', []],
  ['nothing but a newline', '\n', []],
  ['CR inside a line', 'a\rb\n', [[1, 'a\rb']]],
])('reads %s', async (_what, content, lines) => {
  expect(await linesOf(content)).toEqual(lines);
});

it('keeps broken UTF-8 byte by byte', async () => {
  expect(await linesOf(Buffer.from([0xff, 0xc3, 0x0a, 0x28]))).toEqual([
    [1, '\xff\xc3'],
    [2, '('],
  ]);
});

it('puts lines together that span many chunks', async () => {
  const long = 'x'.repeat(300_000);
  expect(await linesOf(`${long}\r\n${long}y\nz`)).toEqual([
    [1, long],
    [2, `${long}y`],
    [3, 'z'],
  ]);
});

it.each(['nowhere.ndjson', '/tmp'])('%s cannot be read, and it says so', async (file) => {
  const read = async () => {
    for await (const line of readLines(file)) expect(line).toBeUndefined();
  };
  await expect(read()).rejects.toMatchObject({ code: 'bad_input', message: `The file ${file} cannot be read.` });
});
