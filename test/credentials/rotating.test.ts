import { mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { rotating } from '#mner/credentials/rotating.js';
import { readSecretFile } from '#mner/credentials/text-file.js';
import { MnerError } from '#mner/errors.js';
import type { Event } from '#mner/telemetry/events.js';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'mner-rotating-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const file = (name: string, content: string) => {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
};

/** Counts how often it reads; "half" is a file that is being written. */
function source(path: string) {
  const events: Event[] = [];
  const count = { reads: 0 };
  const read = () => {
    count.reads += 1;
    const text = readSecretFile(path, `secret (${path})`);
    if (text === 'half') throw new MnerError('bad_config', 'It is cut off.');
    return text;
  };
  const value = rotating([path], read, (event) => events.push(event));
  return { value, count, notes: () => events.map((event) => (event.type === 'note' ? event.message : event.type)) };
}

describe('what is made of a file that may rotate', () => {
  it('is read once, and again only when the file has changed', () => {
    const { value, count } = source(file('secret', 'one\n'));
    expect([value(), value()]).toEqual(['one', 'one']);
    expect(count.reads).toBe(1);
    file('secret', 'two, longer');
    expect([value(), value()]).toEqual(['two, longer', 'two, longer']);
    expect(count.reads).toBe(2);
  });

  it('changes when the file is replaced by a rename, or a link points elsewhere, as Kubernetes does it', () => {
    file('old', 'same size 1');
    symlinkSync(join(folder, 'old'), join(folder, 'link'));
    const { value } = source(join(folder, 'link'));
    symlinkSync(file('new', 'same size 2'), join(folder, 'next'));
    renameSync(join(folder, 'next'), join(folder, 'link'));
    expect(value()).toBe('same size 2');
    renameSync(file('newer', 'same size 3'), join(folder, 'new'));
    expect(value()).toBe('same size 3');
  });

  it('stays as it was while the file is half written or away, which is noted once, and is new when it is whole', () => {
    const { value, notes } = source(file('secret', 'one'));
    file('secret', 'half');
    expect([value(), value()]).toEqual(['one', 'one']);
    rmSync(join(folder, 'secret'));
    expect([value(), value()]).toEqual(['one', 'one']);
    expect(notes()).toEqual([
      'It is cut off. What was read before stays.',
      `secret (${join(folder, 'secret')}) cannot be read: it does not exist. What was read before stays.`,
    ]);
    file('secret', 'two');
    expect(value()).toBe('two');
    expect(notes()).toHaveLength(2);
  });

  it('throws at the start when it cannot be made', () => {
    expect(() => source(join(folder, 'nothing'))).toThrow(/nothing\) cannot be read: it does not exist\.$/);
  });
});
