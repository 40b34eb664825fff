import { readFileSync } from 'node:fs';

const BLOCK = 512;

/** The regular files of a plain tar archive (POSIX ustar), as WebDataset shards are. */
export function* tarFiles(path: string): Generator<{ name: string; bytes: Buffer }> {
  const archive = readFileSync(path);
  for (let at = 0; at + BLOCK <= archive.length; ) {
    const header = archive.subarray(at, at + BLOCK);
    const name = text(header, 0, 100);
    if (name === '') return;
    const size = Number.parseInt(text(header, 124, 12), 8);
    const kind = String.fromCharCode(header[156] ?? 0);
    at += BLOCK;
    if (kind === '0' || kind === '\0') yield { name, bytes: archive.subarray(at, at + size) };
    at += Math.ceil(size / BLOCK) * BLOCK;
  }
}

function text(header: Buffer, start: number, length: number): string {
  const field = header.subarray(start, start + length);
  const end = field.indexOf(0);
  return field.toString('utf8', 0, end < 0 ? length : end).trim();
}
