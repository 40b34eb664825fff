import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const SRC = resolve(import.meta.dirname, '../../src');

/** The rooms in the order in which data flows. A room imports only what stands after it. */
const ORDER = [
  ...['cli', 'local'],
  ...['worker.ts', 'stations.ts', 'pipeline.ts', 'serving', 'adapters.ts', 'models.ts', 'inputs.ts'], // the composition: worker.ts and the parts of it that cli uses too
  ...['config', 'stream', 'tweet', 'image', 'text', 'inference', 'ner', 'telemetry', 'web', 'credentials'],
  ...['errors.ts', 'clock.ts', 'deferred.ts'],
];

/** What every room may import: typed events are emitted everywhere. */
const FOR_ALL = new Set(['telemetry/events.ts', 'errors.ts', 'clock.ts', 'deferred.ts']);

/** The rooms that may see the configuration; every other has an options type of its own. */
const SEES_CONFIG = new Set([
  'cli',
  'worker.ts',
  'stations.ts',
  'pipeline.ts',
  'serving',
  'adapters.ts',
  'models.ts',
  'inputs.ts',
  'config',
]);

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));

describe('the rooms of src', () => {
  it('are all known', () => {
    const rooms = new Set(files.map(roomOf));
    expect([...rooms].filter((room) => rank(room) < 0)).toEqual([]);
    expect(rooms.size).toBeGreaterThan(3);
  });

  it('import only what stands below them', () => {
    const wrong = imports().filter(({ from, to }) => {
      if (roomOf(from) === roomOf(to) || FOR_ALL.has(to)) return false;
      return rank(roomOf(to)) <= rank(roomOf(from));
    });
    expect(wrong.map(({ from, to }) => `${from} imports ${to}`)).toEqual([]);
  });

  it('leave the configuration to those who compose', () => {
    const wrong = imports().filter(({ from, to }) => roomOf(to) === 'config' && !SEES_CONFIG.has(roomOf(from)));
    expect(wrong.map(({ from, to }) => `${from} imports ${to}`)).toEqual([]);
  });

  it('import files that exist, by relative paths', () => {
    const known = new Set(files);
    const all = imports();
    expect(all.filter(({ to }) => !known.has(to)).map(({ from, to }) => `${from} imports ${to}`)).toEqual([]);
    expect(all.length).toBeGreaterThan(5);
  });
});

function roomOf(file: string): string {
  return file.split('/')[0] ?? file;
}

function rank(room: string): number {
  return ORDER.indexOf(room);
}

/** Every import of a file of ours, static, dynamic, of types, or passed on, with paths relative to src. */
function imports(): { from: string; to: string }[] {
  return files.flatMap((from) => {
    const text = readFileSync(join(SRC, from), 'utf8');
    const named = [...text.matchAll(/(?:\bfrom|\bimport|\bimport\()\s*['"]([^'"]+)['"]/g)].map(
      (match) => match[1] ?? '',
    );
    return named
      .filter((name) => name.startsWith('.') || name.startsWith('#'))
      .map((name) => ({ from, to: relative(SRC, resolve(SRC, dirname(from), name)).replace(/\.js$/, '.ts') }));
  });
}
