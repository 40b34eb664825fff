import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { expect } from 'vitest';

/** Whether a process with this id exists. One that has ended and waits to be collected (a zombie) still counts. */
export function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Resolves when the process has gone. */
export async function gone(pid: number): Promise<void> {
  await expect.poll(() => exists(pid), { timeout: 15_000, interval: 20 }).toBe(false);
}

/** A program of a few lines of shell, in the place of one of the system's. */
export function script(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `#!/bin/sh\n${text}\n`);
  chmodSync(path, 0o755);
}
