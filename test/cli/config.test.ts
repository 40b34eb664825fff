import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { FIELDS } from '#mner/config/fields.js';
import { mner } from '../support/worker-process.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'mner-config-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('print shows what is in force and where it comes from, secrets hidden', async () => {
  const file = join(folder, 'mner.yaml');
  writeFileSync(file, 'group: from-file\ninput_topic: from-file\nclient_id: from-file\n');
  const env = {
    MNER_GROUP: 'from-variable',
    MNER_INPUT_TOPIC: 'from-variable',
    MNER_REDIS_URL: 'rediss://user:hunter2@cache:6380/1?password=hunter3',
    MNER_KAFKA_SASL_MECHANISM: 'plain',
    MNER_KAFKA_SASL_USERNAME: 'worker',
    MNER_KAFKA_SASL_PASSWORD: 'hunter4',
  };
  const args = ['config', 'print', '--config', file, '--input-topic', 'from-flag'];
  const [table, json] = await Promise.all([mner(args, { env }), mner([...args, '--json'], { env })]);
  expect([table.code, json.code, table.stderr, json.stderr]).toEqual([0, 0, '', '']);
  expect(`${table.stdout}${json.stdout}`).not.toMatch(/hunter/);
  expect(table.stdout).toMatch(/^client_id +from-file +.*mner\.yaml$/m);
  expect(table.stdout).toMatch(/^group +from-variable +MNER_GROUP$/m);
  expect(table.stdout).toMatch(/^input_topic +from-flag +--input-topic$/m);
  expect(table.stdout).toMatch(/^output_topic +tweet-entities +default$/m);
  const values = JSON.parse(json.stdout);
  expect(Object.keys(values)).toEqual(FIELDS.map(({ key }) => key));
  expect(values).toMatchObject({ input_topic: 'from-flag', group: 'from-variable', kafka_sasl_password: '***' });
  expect(values.redis_url).toMatch(/^rediss:\/\/user:\*+@cache:6380\/1\?password=/);
});

it('schema prints a JSON Schema with every key', async () => {
  const { code, stdout } = await mner(['config', 'schema']);
  expect(code).toBe(0);
  const schema = JSON.parse(stdout);
  expect(Object.keys(schema.properties)).toEqual(expect.arrayContaining(FIELDS.map(({ key }) => key)));
});

it('docs prints the page that the repository holds', async () => {
  const { code, stdout } = await mner(['config', 'docs']);
  expect(code).toBe(0);
  expect(stdout.trim()).toBe(readFileSync('docs/configuration.md', 'utf8').trim());
});
