import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { z } from 'zod';

/** What was found fastest for one bundle on one machine. */
export interface Tuning {
  /** Most tokens of a batch. */
  readonly tokens: number;
  /** Inference processes, which work side by side. */
  readonly processes: number;
  /** Threads of each of them. */
  readonly threads: number;
}

/** What is written down. */
export interface Remembered extends Tuning {
  /** The execution provider that it was found on: the first of the order may have been away, or may be now. */
  readonly provider: string;
}

/** Bundles and machines that are remembered; the oldest go first. */
const MOST = 64;

const fileSchema = z.object({
  schema: z.literal('mner-calibration/3'),
  found: z.record(
    z.string(),
    z.object({
      tokens: z.int().positive(),
      processes: z.int().positive(),
      threads: z.int().positive(),
      provider: z.string(),
      at: z.string(),
    }),
  ),
});

/** `calibration.json` in the user's cache folder; null where there is no such folder. */
export function speedFilePath(env: Readonly<Record<string, string | undefined>> = process.env): string | null {
  // Without an entry for the user, as in some containers, there is no home.
  const home = () => {
    try {
      return homedir();
    } catch {
      return '';
    }
  };
  const base = env.XDG_CACHE_HOME || (home() && join(home(), '.cache'));
  return base ? join(base, 'mner-stream', 'calibration.json') : null;
}

/** What was remembered under this key; null when nothing was, or when the file is missing, unreadable or not ours. */
export async function recallTuning(path: string | null, key: string): Promise<Remembered | null> {
  const found = await readAll(path);
  return Object.hasOwn(found, key) ? (found[key] as Remembered) : null;
}

/**
 * Remembers. Of two workers that write at the same moment one may be forgotten, which costs it a calibration; the file is never
 * half written.
 *
 * @returns false when the folder cannot be written
 */
export async function rememberTuning(
  path: string | null,
  key: string,
  tuning: Remembered,
  at: number,
): Promise<boolean> {
  if (path === null) return false;
  const { [key]: _, ...others } = await readAll(path);
  const kept = Object.entries(others).sort(([, a], [, b]) => (a.at < b.at ? -1 : 1));
  const found = Object.fromEntries([...kept.slice(1 - MOST), [key, { ...tuning, at: new Date(at).toISOString() }]]);
  const half = `${path}.${process.pid}`;
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(half, `${JSON.stringify({ schema: 'mner-calibration/3', found }, null, 1)}\n`);
    await rename(half, path);
    return true;
  } catch {
    return false;
  }
}

async function readAll(path: string | null): Promise<z.infer<typeof fileSchema>['found']> {
  if (path === null) return {};
  try {
    return fileSchema.parse(JSON.parse(await readFile(path, 'utf8'))).found;
  } catch {
    return {};
  }
}
