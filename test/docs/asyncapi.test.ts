import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { configSchema } from '#mner/config/schema.js';
import { MnerError } from '#mner/errors.js';
import { deadLetter } from '#mner/stream/dead-letter.js';

const FILE = resolve(import.meta.dirname, '../../docs/schemas/asyncapi.yaml');
const spec = parse(readFileSync(FILE, 'utf8'));

function refs(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, entry]) => (name === '$ref' ? [String(entry)] : refs(entry)));
}

it('every reference of the AsyncAPI document leads somewhere', () => {
  const found = refs(spec);
  expect(found.length).toBeGreaterThan(8);
  for (const ref of found) {
    if (ref.startsWith('#/')) {
      const target = ref
        .slice(2)
        .split('/')
        .reduce((at: Record<string, never>, part) => at?.[part] as never, spec);
      expect([ref, target === undefined]).toEqual([ref, false]);
    } else expect([ref, existsSync(join(dirname(FILE), ref))]).toEqual([ref, true]);
  }
});

it('its channels are the default topics', () => {
  const { input_topic, output_topic, dead_letter_topic } = configSchema.parse({});
  expect(Object.keys(spec.channels)).toEqual(
    expect.arrayContaining([input_topic, output_topic, dead_letter_topic, 'tweet-mentions']),
  );
});

it('it names every header of a dead letter', () => {
  const record = {
    topic: 't',
    partition: 0,
    offset: 1n,
    key: null,
    value: Buffer.from('x'),
    headers: [],
    timestamp: 0,
  };
  const letters = (['whole', 'without_value'] as const).map((size) =>
    deadLetter(record, new MnerError('bad_json'), size),
  );
  const named = Object.keys(spec.components.messages.deadLetter.headers.properties);
  for (const { headers } of letters) expect(named).toEqual(expect.arrayContaining(headers.map(([name]) => name)));
});
