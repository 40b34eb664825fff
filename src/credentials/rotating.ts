import { statSync } from 'node:fs';
import { asMnerError } from '../errors.js';
import { type Emit, silent } from '../telemetry/events.js';

/**
 * Something made of files that others replace while we run: certificates, passwords, tokens. Each call looks whether a file
 * has changed (a stat, no read), so it suits what is asked once for each connection.
 *
 * Replacing is not atomic, and several files are replaced one after the other: between the new certificate and its new key
 * the two do not fit. What cannot be used then leaves the old in force, is noted once, and is tried again at the next call.
 *
 * @param files their paths
 * @param make reads and checks them; what it throws says what is wrong
 * @throws MnerError, now, what `make` throws at the first time; later calls never throw
 */
export function rotating<T>(files: readonly string[], make: () => T, emit: Emit = silent): () => T {
  let print = fingerprint(files);
  let current = make();
  let complaint = '';
  return () => {
    const now = fingerprint(files);
    if (now === print) return current;
    try {
      // Looked at before it is read: a change in between is seen by the next call.
      current = make();
      print = now;
      complaint = '';
    } catch (error) {
      const { message } = asMnerError(error);
      if (message !== complaint)
        emit({ type: 'note', level: 'warn', message: `${message} What was read before stays.` });
      complaint = message;
    }
    return current;
  };
}

/** Changes with every write and every replacement, also through the symbolic links of a Kubernetes secret. */
function fingerprint(files: readonly string[]): string {
  return files.map(printOf).join('; ');
}

function printOf(file: string): string {
  try {
    const { ino, size, mtimeNs, ctimeNs } = statSync(file, { bigint: true });
    return `${ino} ${size} ${mtimeNs} ${ctimeNs}`;
  } catch {
    return 'unreadable';
  }
}
