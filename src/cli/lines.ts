import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { MnerError } from '../errors.js';

export interface InputLine {
  /** Counting from 1, blank lines too. */
  readonly number: number;
  readonly bytes: Buffer;
}

const NEWLINE = 0x0a;

/**
 * The lines of a file, or of standard input for `-`, as bytes, since a tweet may hold broken UTF-8. Blank lines are left out.
 *
 * @throws MnerError `bad_input` when the file cannot be read
 */
export async function* readLines(file: string): AsyncGenerator<InputLine> {
  let number = 0;
  let rest: Buffer[] = [];
  const take = (tail: Buffer): Buffer => {
    const line = rest.length === 0 ? tail : Buffer.concat([...rest, tail]);
    rest = [];
    return line.at(-1) === 0x0d ? line.subarray(0, -1) : line;
  };
  for await (const chunk of await open(file)) {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      const bytes = take(chunk.subarray(start, end));
      start = end + 1;
      number++;
      if (!isBlank(bytes)) yield { number, bytes };
    }
    if (start < chunk.length) rest.push(chunk.subarray(start));
  }
  if (rest.length > 0) {
    const bytes = take(Buffer.alloc(0));
    if (!isBlank(bytes)) yield { number: number + 1, bytes };
  }
}

async function open(file: string): Promise<AsyncIterable<Buffer>> {
  if (file === '-') return process.stdin;
  const found = await stat(file).catch(() => null);
  if (!found?.isFile()) throw new MnerError('bad_input', `The file ${file} cannot be read.`);
  return createReadStream(file);
}

function isBlank(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0d);
}
