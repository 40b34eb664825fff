import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MnerError } from '#mner/errors.js';
import { deadLetter } from '#mner/stream/dead-letter.js';
import { textHeader } from '#mner/stream/headers.js';
import { kafkaBroker } from '#mner/stream/kafka/broker.js';
import type { Broker, InputRecord, OutputRecord } from '#mner/stream/port.js';
import { readToEnd } from '#mner/stream/read-to-end.js';
import { record } from '../stream/records.js';
import { BROKERS, NO_SERVERS } from '../support/servers.js';
import { mner } from '../support/worker-process.js';
import { spawnMner } from './spawn.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

describe.skipIf(NO_SERVERS)(`dlq${NO_SERVERS}`, () => {
  let broker: Broker;
  beforeAll(async () => {
    broker = kafkaBroker({ brokers: BROKERS.split(',') });
  });
  afterAll(() => broker?.close());

  const world = async () => {
    const run = randomUUID().slice(0, 8);
    const [input, dead] = [`in-${run}`, `dead-${run}`];
    await broker.createTopics([input, dead].map((topic) => ({ topic, partitions: 2 })));
    const env = {
      MNER_BROKERS: BROKERS,
      MNER_INPUT_TOPIC: input,
      MNER_DEAD_LETTER_TOPIC: dead,
      MNER_GROUP: `group-${run}`,
    };
    /** A commit is answered before its markers are written; a fence waits for them, and readers see all of it then. */
    const ended = async () => {
      for (const partition of [0, 1]) {
        const id = `mner/${env.MNER_GROUP}/redrive/${dead}/${partition}`;
        const next = await broker.transactions({ id, timeoutMs: 10_000 });
        await next.begin();
        await next.stop();
      }
    };
    return { input, dead, env, ended, dlq: (...args: string[]) => mner(['dlq', ...args], { env }) };
  };
  const put = async (topic: string, partition: number, letters: readonly OutputRecord[]) => {
    const producer = await broker.producer();
    await producer.send({ topic, partition }, letters);
    await producer.stop();
  };
  const read = async (topic: string) => {
    const found: InputRecord[] = [];
    await readToEnd({ broker, topic, group: randomUUID(), take: (records) => found.push(...records) > 0 });
    return found;
  };

  const BYTES = Buffer.from([0, 255, 27, 91, 50, 74]);
  const few = async () => {
    const it = await world();
    const { input: topic, dead } = it;
    const from = (offset: number, change: Partial<InputRecord>) => record(offset, { topic, ...change });
    await put(dead, 0, [
      deadLetter(
        from(7, {
          value: Buffer.from('{"text":"Kobe"'),
          key: Buffer.from('k7'),
          headers: [textHeader('traceparent', '00-1-2-01'), textHeader('traceparent', 'again')],
        }),
        new MnerError('bad_json', 'Not JSON at position 14.'),
      ),
      deadLetter(from(8, { value: BYTES, key: Buffer.from([27, 91]) }), new MnerError('bad_utf8')),
    ]);
    await put(dead, 1, [
      deadLetter(from(9, { partition: 1, value: Buffer.alloc(5) }), new MnerError('output_too_large'), 'without_value'),
    ]);
    return it;
  };

  /** For tests that change nothing. */
  let still: Awaited<ReturnType<typeof few>>;
  beforeAll(async () => {
    still = await few();
  });

  it('lists dead letters for people and as NDJSON, counts them, and never shows a tweet', async () => {
    const { input, dead, dlq } = still;
    const table = await dlq('list');
    expect(table).toMatchObject({ code: 0, stderr: `3 dead letters in ${dead}.\n` });
    const lines = table.stdout.trimEnd().split('\n');
    expect(lines[0]).toMatch(/^PARTITION {2}OFFSET {2}CODE +CLASS +ATTEMPTS +SOURCE +AGE +KEY +SENT BACK$/);
    expect(lines).toHaveLength(4);
    expect(table.stdout).toMatch(new RegExp(`0 +0 +bad_json +poison +1 +${input}/0/7 +\\d+ s +k7 +no`));
    expect(table.stdout).toMatch(/0 +1 +bad_utf8 .* 0x1b5b +no/);
    expect(table.stdout).not.toContain('Kobe');

    const json = await dlq(
      'list',
      '--json',
      '--code',
      'bad_json,output_too_large',
      '--source-topic',
      input,
      '--since',
      '1h',
    );
    expect(json.stderr).toBe('');
    const found = json.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(found.map(({ code, truncated }) => [code, truncated])).toEqual(
      expect.arrayContaining([
        ['bad_json', false],
        ['output_too_large', true],
      ]),
    );
    expect(found.find(({ code }) => code === 'bad_json')).toMatchObject({
      partition: 0,
      offset: '0',
      class: 'poison',
      message: 'Not JSON at position 14.',
      attempts: 1,
      source: { topic: input, partition: 0, offset: '7' },
      key: 'k7',
      bytes: 14,
      sent_back: false,
    });
    expect(json.stdout).not.toContain('Kobe');

    const summary = await dlq('list', '--summary', '--json', '--partition', '0');
    expect(JSON.parse(summary.stdout)).toEqual([
      { code: 'bad_json', class: 'poison', count: 1, sent_back: 0 },
      { code: 'bad_utf8', class: 'poison', count: 1, sent_back: 0 },
    ]);
    expect(await dlq('list', '--since', '2100-01-01')).toMatchObject({
      stdout: '',
      stderr: `0 dead letters in ${dead}.\n`,
    });
    expect((await dlq('list', '--max', '1', '--json')).stdout.trimEnd().split('\n')).toHaveLength(1);
  });

  it('shows one whole, and its bytes exactly', async () => {
    const { dead, input, env, dlq } = still;
    const { stdout } = await dlq('show', '0/0');
    expect(stdout).toContain(`${dead} 0/0`);
    for (const line of [
      'code       bad_json (poison)',
      'message    Not JSON at position 14.',
      `source     ${input}/0/7, of 1970-01-01T00:00:00.000Z`,
      'key        k7',
      'traceparent: 00-1-2-01',
      'traceparent: again',
      'value      14 bytes',
      '{"text":"Kobe"',
    ])
      expect(stdout).toContain(line);
    const binary = await dlq('show', '0/1');
    expect(binary.stdout).toContain('6 bytes that are no text; --raw prints them');
    expect(binary.stdout).not.toContain('\u001b');
    const raw = await promisify(execFile)(process.execPath, [MAIN, 'dlq', 'show', '0/1', '--raw'], {
      env: { PATH: process.env.PATH, ...env },
      encoding: 'buffer',
    });
    expect(raw.stdout).toEqual(BYTES);
    expect(JSON.parse((await dlq('show', '0/1', '--json')).stdout)).toMatchObject({
      value_base64: BYTES.toString('base64'),
      value_text: null,
      key_base64: 'G1s=',
    });
    expect((await dlq('show', '1/0')).stdout).toContain('dropped, since it was too large; its SHA-256 was ');
  });

  it.each([
    [['list', '--code', 'bad_jsn'], /The code bad_jsn is unknown; did you mean bad_json\?/],
    [['list', '--since', 'yesterday'], /--since takes an age such as/],
    [['list', '--partition', 'x'], /--partition takes a number/],
    [['show', 'nine'], /named as PARTITION\/OFFSET, say 3\/120/],
    [['show', '0/77'], /There is no dead letter at 0\/77/],
    [['show', '1/0', '--raw'], /was dropped/],
    [['redrive'], /nobody to ask.*--yes, or --dry-run/],
  ] as const)('%j is refused in one sentence', async (args, says) => {
    const { code, stdout, stderr } = await still.dlq(...args);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^mner: [^\n]*\n$/);
    expect(stderr).toMatch(says);
  });

  it('sends them back once, says what is left and why, and shows what was sent back', async () => {
    const { input, ended, dlq } = await few();
    const trial = await dlq('redrive', '--dry-run');
    const left = '1 left: truncated: their bytes are not in the dead letter.\n';
    expect(trial).toMatchObject({ code: 0, stdout: '', stderr: `2 would be sent back.\n${left}` });
    expect(await read(input)).toEqual([]);
    expect(await dlq('redrive', '--yes')).toMatchObject({ code: 0, stderr: `2 sent back.\n${left}` });
    expect(await dlq('redrive', '--yes')).toMatchObject({
      code: 0,
      stderr: `0 sent back.\n2 were sent back before, and are not sent again.\n${left}`,
    });
    await ended();
    const back = await read(input);
    expect(back.map(({ value }) => value)).toEqual([Buffer.from('{"text":"Kobe"'), BYTES]);
    expect(back[0]?.headers.map(([name, value]) => [name, String(value)])).toEqual([
      ['traceparent', '00-1-2-01'],
      ['traceparent', 'again'],
      ['mner-attempts', '1'],
    ]);
    expect((await dlq('list', '--code', 'bad_json')).stdout).toMatch(/k7 +yes/);
  });

  it('killed half way and run again, a redrive neither doubles nor loses any', { timeout: 60_000 }, async () => {
    const { input, dead, env, ended, dlq } = await world();
    // More than one fetch of each partition, so that there are several transactions.
    const each = 2500;
    for (const partition of [0, 1])
      for (let first = 0; first < each; first += 500) {
        const value = (i: number) => Buffer.from(`${partition}-${i}`.padEnd(1000, '.'));
        const letters = Array.from({ length: 500 }, (_, i) =>
          deadLetter(
            record(first + i, { topic: input, partition, value: value(first + i) }),
            new MnerError('bad_json'),
          ),
        );
        await put(dead, partition, letters);
      }
    const running = spawnMner(['dlq', 'redrive', '--yes', '--json'], env);
    await running.says('"sent_back":true');
    running.kill('SIGKILL');
    expect(await running.ended).toBeNull();
    // Taken over by the next one's fence: what the killed one left open is aborted first.
    const { code, stderr } = await dlq('redrive', '--yes');
    expect([code, stderr]).toEqual([0, expect.stringMatching(/^\d+ sent back\.\n\d+ were sent back before/)]);
    await ended();
    const back = (await read(input)).map(({ value }) => String(value));
    expect(new Set(back).size).toBe(2 * each);
    expect(back).toHaveLength(2 * each);
  });
});
