import { readFileSync } from 'node:fs';
import { MnerError } from '../errors.js';

/** Reads a whole small file. `what` begins the sentence if it cannot be read. @throws MnerError `bad_config` */
export function readTextFile(path: string, what: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new MnerError('bad_config', `${what} cannot be read: ${whyUnreadable(error)}.`);
  }
}

/** A secret from its file: editors and `echo` end one with a line break that is no part of it. @throws MnerError `bad_config` */
export function readSecretFile(path: string, what: string): string {
  return readTextFile(path, what).replace(/\r?\n$/, '');
}

function whyUnreadable(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
  return REASONS.get(code) ?? `the system says ${code}`;
}

const REASONS: ReadonlyMap<string, string> = new Map([
  ['ENOENT', 'it does not exist'],
  ['EACCES', 'permission is denied'],
  ['EISDIR', 'it is a folder'],
]);
