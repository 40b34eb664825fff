import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Fetched } from '../port.js';

/** A pipe that nobody writes to opens at once, and is seen for what it is. Where there is no such flag, there are no such pipes. */
const FLAGS = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

/** The bytes of a picture on this machine: only for commands that its user runs, never for what a stranger names. */
export async function readPictureFile(url: URL, maxBytes = 10 * 1024 * 1024): Promise<Fetched> {
  let file: FileHandle | undefined;
  try {
    file = await open(fileURLToPath(url), FLAGS);
    const stat = await file.stat();
    // A device may have no end, and a pipe no beginning.
    if (!stat.isFile()) return { status: 'unreachable', detail: 'this is no file' };
    const bytes = stat.size > maxBytes ? null : await readUpTo(file, maxBytes);
    if (bytes === null) return { status: 'too_large', detail: `the file is longer than ${maxBytes} bytes` };
    return { status: 'ok', bytes };
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    if (code === 'ENOENT') return { status: 'not_found', detail: 'there is no such file' };
    return { status: 'unreachable', detail: `the file cannot be read (${code})` };
  } finally {
    await file?.close();
  }
}

/** Everything to the file's end; null when that is more. Its size is not believed: it may grow, and files of `/proc` have none. */
async function readUpTo(file: FileHandle, maxBytes: number): Promise<Buffer | null> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of file.createReadStream({ autoClose: false, end: maxBytes })) {
    chunks.push(chunk as Buffer);
    size += (chunk as Buffer).length;
  }
  return size > maxBytes ? null : Buffer.concat(chunks, size);
}
