import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = resolve(import.meta.dirname, '../..');
const MOST_LINES = 400;
const LARGE_BYTES = 5 * 1024 * 1024;

const files = ourFiles();

describe.skipIf(files === null)('the files of the repository (skipped without git)', () => {
  const all = files ?? [];

  it('hold one idea each: no source is longer than 400 lines', () => {
    const sources = all.filter((file) => file.startsWith('src/') && file.endsWith('.ts'));
    const long = sources.filter((file) => read(file).split('\n').length > MOST_LINES + 1);
    expect(long).toEqual([]);
    expect(sources.length).toBeGreaterThan(5);
  });

  it('name no path of one machine', () => {
    const machine = new RegExp(`(?<![\\w.*])/(?:${['work', 'root'].join('|')})/`);
    const text = all.filter((file) => statSync(join(ROOT, file)).size < LARGE_BYTES && !isBinary(file));
    const wrong = text.flatMap((file) => {
      const lines = read(file).split('\n');
      return lines.flatMap((line, index) => (machine.test(line) ? [`${file}:${index + 1}`] : []));
    });
    expect(wrong).toEqual([]);
    expect(text.length).toBeGreaterThan(20);
  });

  it('are small, but for the model bundles', () => {
    const large = all.filter((file) => statSync(join(ROOT, file)).size > LARGE_BYTES);
    expect(large.filter((file) => !/^models\/[\w.-]+\/[\w.-]+$/.test(file))).toEqual([]);
  });

  it('are not what a build, a test or an editor leaves behind', () => {
    const left = all.filter((file) =>
      /(^|\/)(node_modules|dist|__pycache__|\.venv|\.DS_Store)(\/|$)|\.(log|orig|swp|pyc)$/.test(file),
    );
    expect(left).toEqual([]);
  });
});

/** What git tracks, or would with the next `git add`; null where there is no repository (an image, an archive). */
function ourFiles(): string[] | null {
  try {
    const list = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
      cwd: ROOT,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return [...new Set(list.split('\0'))].filter((file) => file !== '' && existsSync(join(ROOT, file)));
  } catch {
    return null;
  }
}

function read(file: string): string {
  return readFileSync(join(ROOT, file), 'utf8');
}

function isBinary(file: string): boolean {
  return readFileSync(join(ROOT, file)).subarray(0, 8_000).includes(0);
}
