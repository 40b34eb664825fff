import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type EntityRecord, entityRecordSchema } from '#mner/ner/record.js';
import { plain, RED } from '../image/pictures.js';
import { TINY } from '../support/servers.js';
import { mner } from '../support/worker-process.js';
import { childrenOf, gone } from './processes.js';
import { spawnMner } from './spawn.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'mner-extract-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

// No broker and no Redis anywhere near: extract asks for neither.
const env = {
  ...TINY,
  MNER_BROKERS: '127.0.0.1:1',
  MNER_REDIS_URL: 'redis://127.0.0.1:1',
  MNER_IMAGE_BUDGET_MS: '60000',
};

it('prints results in the order of the lines, and errors in the place of bad ones, over 2000 lines', async () => {
  const COUNT = 2000;
  const input: string[] = [];
  const wanted: object[] = [];
  for (let i = 1; i <= COUNT; i++) {
    if (i % 97 === 0) {
      input.push('{"id":');
      wanted.push({ error: { code: 'bad_json', message: expect.any(String) }, line: i });
    } else if (i % 101 === 0) {
      input.push(`{"id":"${i}"}`);
      wanted.push({ error: { code: 'no_text', message: expect.any(String) }, line: i });
    } else {
      // Lengths that fall into different batches, so that results come out of order.
      input.push(JSON.stringify({ id: String(i), text: `Kobe Bryant ${'x '.repeat((i * 37) % 20)}in Bled` }));
      wanted.push(expect.objectContaining({ schema: 'tweet-entities/1', tweet_id: String(i) }));
    }
  }
  const file = join(folder, 'tweets.ndjson');
  writeFileSync(file, input.join('\n'));
  const { code, stdout } = await mner(['extract', file], { env });
  expect(code).toBe(0);
  const lines = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as object);
  expect(lines).toHaveLength(COUNT);
  expect(lines).toEqual(wanted);
}, 90_000);

it('reads standard input: CRLF, blank lines, broken UTF-8, a last line without its newline', async () => {
  const input = Buffer.concat([
    Buffer.from('{"id":"1","text":"Kobe Bryant"}\r\n\r\n  \n'),
    Buffer.from([0x7b, 0xff, 0x7d, 0x0a]),
    Buffer.from('{"data":{"id":"2","text":"London"}}\n{"id_str":"3","full_text":"Paris"}'),
  ]);
  const { code, stdout } = await mner(['extract'], { env, input });
  expect(code).toBe(0);
  const results = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(results).toEqual([
    expect.objectContaining({ tweet_id: '1' }),
    { error: { code: 'bad_utf8', message: expect.any(String) }, line: 4 },
    expect.objectContaining({ tweet_id: '2' }),
    expect.objectContaining({ tweet_id: '3' }),
  ]);
});

it('answers each line as it comes, and stops with the reader of its output', async () => {
  const extracting = spawnMner(['extract', '-'], env);
  extracting.write('{"id":"first","text":"Kobe Bryant"}\n');
  await extracting.says('"tweet_id":"first"');
  const children = childrenOf(extracting.pid);
  expect(children).toHaveLength(1);
  // As `mner extract … | head -1` does.
  extracting.closeOutput();
  extracting.write('{"id":"second","text":"Kobe Bryant"}\n'.repeat(1000));
  expect(await extracting.ended).toBe(0);
  expect(extracting.stderr()).toBe('');
  await gone(children);
});

it('reads one tweet from the command line, with a picture from a file', async () => {
  const picture = join(folder, 'red picture.jpg');
  writeFileSync(picture, await plain(RED, 200, 100).jpeg().toBuffer());
  const [json, pretty] = await Promise.all([
    mner(['extract', '--text', 'Kobe Bryant in Los Angeles 🏀', '--image', picture], { env }),
    mner(['extract', '--text', 'Kobe Bryant in Los Angeles', '--pretty'], { env }),
  ]);
  expect([json.code, json.stderr]).toEqual([0, '']);
  const record = JSON.parse(json.stdout) as EntityRecord;
  expect(entityRecordSchema.safeParse(record).success).toBe(true);
  expect(record.image.status).toBe('used');
  expect(record.image.relevance).not.toBeNull();
  expect(record.text_length).toBe(28);
  expect(record.entities.length).toBeGreaterThan(0);
  for (const { text, utf16 } of record.entities) expect('Kobe Bryant in Los Angeles 🏀'.slice(...utf16)).toBe(text);

  expect([pretty.code, pretty.stderr]).toEqual([0, '']);
  const [marked, found, end] = pretty.stdout.split('\n');
  expect(marked?.replace(/[[\]]/g, '')).toBe('Kobe Bryant in Los Angeles');
  expect(marked).toContain('[');
  expect(found).toMatch(/^ {4}(PER|LOC|ORG|MISC) .+ 0\.\d\d .*\(no picture\)$/);
  expect(end).toBe('');
});

it('says in one sentence what it cannot use, with an exit code', async () => {
  const args = [
    ['extract', 'nowhere.ndjson'],
    ['extract', '--text', 'a', '--image', 'nowhere.jpg'],
    ['extract', '--image', 'nowhere.jpg'],
  ];
  expect(await Promise.all(args.map((one) => mner(one, { env })))).toEqual([
    { code: 2, stdout: '', stderr: 'mner: The file nowhere.ndjson cannot be read.\n' },
    { code: 2, stdout: '', stderr: 'mner: The picture nowhere.jpg does not exist.\n' },
    { code: 2, stdout: '', stderr: 'mner: --image goes with --text.\n' },
  ]);
});
