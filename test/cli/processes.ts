import { readdirSync, readFileSync } from 'node:fs';

/** The processes that this one has started, by Linux's /proc. */
export function childrenOf(pid: number): number[] {
  return processes().filter((one) => Number(/^PPid:\s+(\d+)/m.exec(read(one, 'status'))?.[1]) === pid);
}

/** What a process was started with, word by word. */
export function commandOf(pid: number): string {
  return read(pid, 'cmdline').replaceAll('\0', ' ');
}

/** The processes whose environment holds this text. */
export function withEnvironment(text: string): number[] {
  return processes().filter((pid) => read(pid, 'environ').includes(text));
}

/** Resolves when none of these processes runs any more; a zombie does not. */
export async function gone(pids: readonly number[]): Promise<void> {
  const runs = (pid: number) => /^State:\s+[^ZX]/m.test(read(pid, 'status'));
  while (pids.some(runs)) await new Promise((resolve) => setTimeout(resolve, 20));
}

function processes(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

function read(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return '';
  }
}
