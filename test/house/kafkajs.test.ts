import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, it } from 'vitest';

const SRC = resolve(import.meta.dirname, '../../src');

it('nothing loads kafkajs but the file that repairs it first', () => {
  const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  const loads = files.filter((file) =>
    /(?:^import (?!type )[^;]*|\brequire\(|\bimport\()\s*'kafkajs'/m.test(readFileSync(join(SRC, file), 'utf8')),
  );
  expect(loads).toEqual([join('stream', 'kafka', 'kafkajs.ts')]);
});
