import { open } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Fetched } from '../port.js';

/** The bytes of a picture on this machine: only for commands that its user runs, never for what a stranger names. */
export async function readPictureFile(url: URL, maxBytes = 10 * 1024 * 1024): Promise<Fetched> {
  let file: Awaited<ReturnType<typeof open>> | undefined;
  try {
    file = await open(fileURLToPath(url), 'r');
    const stat = await file.stat();
    // A device may have no end.
    if (!stat.isFile()) return { status: 'unreachable', detail: 'this is no file' };
    if (stat.size > maxBytes) return { status: 'too_large', detail: `the file is longer than ${maxBytes} bytes` };
    return { status: 'ok', bytes: await file.readFile() };
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    if (code === 'ENOENT') return { status: 'not_found', detail: 'there is no such file' };
    return { status: 'unreachable', detail: `the file cannot be read (${code})` };
  } finally {
    await file?.close();
  }
}
