import { expect, test } from 'vitest';
import { nearest } from '#mner/config/nearest.js';

test.each([
  ['inptu_topic', 'input_topic'],
  ['--input-topics', '--input-topic'],
  ['MNER_HTTPPORT', 'MNER_HTTP_PORT'],
  ['port', 'http_port'],
  ['topic', undefined],
  ['x', undefined],
  ['', undefined],
])('%s means %s', (name, meant) => {
  const keys = ['input_topic', 'output_topic', 'http_port'];
  const style = name.startsWith('--')
    ? (key: string) => `--${key.replaceAll('_', '-')}`
    : name.startsWith('MNER_')
      ? (key: string) => `MNER_${key.toUpperCase()}`
      : (key: string) => key;
  expect(nearest(name, keys.map(style))).toBe(meant);
});
