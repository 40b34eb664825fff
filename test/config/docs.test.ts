import { expect, test } from 'vitest';
import { configJsonSchema, configMarkdown, configRows } from '#mner/config/docs.js';
import { FIELDS } from '#mner/config/fields.js';
import { configFlags, pickFlags, unknownFlag } from '#mner/config/flags.js';
import { loadConfig } from '#mner/config/load.js';

test('docs/configuration.md is what the schema says (vitest -u rewrites it)', async () => {
  await expect(configMarkdown()).toMatchFileSnapshot('../../docs/configuration.md');
});

test('the rows of `mner config print` hold every key, with its origin and without secrets', () => {
  const rows = configRows(loadConfig({ env: { MNER_REDIS_URL: 'redis://:hunter2@h', MNER_BROKERS: 'a:1,b:2' } }));
  expect(rows.map((row) => row.key)).toEqual(FIELDS.map((field) => field.key));
  const row = (key: string) => rows.find((candidate) => candidate.key === key);
  expect(row('brokers')).toEqual({ key: 'brokers', value: ['a:1', 'b:2'], text: 'a:1,b:2', origin: 'MNER_BROKERS' });
  expect(row('redis_url')?.text).toBe('redis://:***@h');
  expect(row('mentions_topic')?.text).toBe('off');
});

test('the JSON Schema describes every key and takes no other', () => {
  const schema = configJsonSchema() as {
    properties: Record<string, { description: string }>;
    additionalProperties: boolean;
  };
  expect(schema.additionalProperties).toBe(false);
  for (const { key, description } of FIELDS) expect(schema.properties[key]?.description).toBe(description);
  expect(schema.properties.kafka_sasl_password).toMatchObject({ writeOnly: true });
  expect(schema.properties).toHaveProperty('kafka_sasl_password_file');
  expect(schema.properties.http_port).toMatchObject({ type: 'integer', minimum: 0, maximum: 65535, default: 8080 });
});

test('every field has a flag, and switches can be turned off', () => {
  const flags = configFlags().map((flag) => flag.flags);
  expect(flags).toContain('--config <file>');
  expect(flags).toContain('--input-topic <topic>');
  expect(flags).toContain('--playground');
  expect(flags).toContain('--no-playground');
  expect(flags).toContain('--kafka-sasl-password-file <file>');
  expect(new Set(configFlags().map((flag) => flag.key)).size).toBe(
    FIELDS.length + FIELDS.filter((field) => field.secret).length + 1,
  );
});

test("commander's options are sorted into those of the configuration and others", () => {
  expect(pickFlags({ inputTopic: 'x', playground: false, pretty: true, group: undefined, config: 'f' })).toEqual({
    input_topic: 'x',
    playground: false,
  });
});

test('an unknown flag names the nearest of the command as well', () => {
  expect(unknownFlag('--prety', ['--pretty']).message).toBe('The flag --prety is unknown; did you mean --pretty?');
  expect(unknownFlag('--grup=x').message).toBe('The flag --grup is unknown; did you mean --group?');
});
