import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { kafkaBroker } from '#mner/stream/kafka/broker.js';
import { BROKERS, NO_SERVERS, TINY, TINY_WITH_SERVERS } from '../support/servers.js';
import { mner } from '../support/worker-process.js';

interface Finding {
  readonly what: string;
  readonly ok: boolean;
  readonly detail: string;
}

const names = () => ({
  MNER_INPUT_TOPIC: `in-${randomUUID()}`,
  MNER_OUTPUT_TOPIC: `out-${randomUUID()}`,
  MNER_DEAD_LETTER_TOPIC: `dead-${randomUUID()}`,
});

describe.skipIf(NO_SERVERS)(`mner check${NO_SERVERS}`, () => {
  it('says what works, with exit code 0, as a table and as JSON', async () => {
    const topics = names();
    const broker = kafkaBroker({ brokers: BROKERS.split(',') });
    await broker.createTopics(Object.values(topics).map((topic) => ({ topic, partitions: 2 })));
    await broker.close();
    const env = { ...TINY_WITH_SERVERS, ...topics };
    const [table, json] = await Promise.all([mner(['check'], { env }), mner(['check', '--json'], { env })]);
    expect([table.code, json.code]).toEqual([0, 0]);
    const findings = JSON.parse(json.stdout) as Finding[];
    expect(findings).toEqual([
      { what: 'configuration', ok: true, detail: expect.any(String) },
      { what: 'broker', ok: true, detail: BROKERS.split(',').join(', ') },
      { what: `topic ${topics.MNER_INPUT_TOPIC} (input)`, ok: true, detail: '2 partitions' },
      { what: `topic ${topics.MNER_OUTPUT_TOPIC} (output)`, ok: true, detail: '2 partitions' },
      { what: `topic ${topics.MNER_DEAD_LETTER_TOPIC} (dead letters)`, ok: true, detail: '2 partitions' },
      { what: 'redis', ok: true, detail: 'answers' },
      { what: 'bundle', ok: true, detail: 'ham-tiny 0.0.1, vision-tiny 0.0.1' },
      { what: 'execution provider', ok: true, detail: 'cpu, 1 threads' },
    ]);
    for (const { what, detail } of findings)
      expect(table.stdout).toMatch(new RegExp(`^ok +${literal(what)} +${literal(detail)}$`, 'm'));
  }, 60_000);

  it('goes on where something is missing, names it, and exits with 1', async () => {
    const topics = names();
    const env = {
      ...TINY_WITH_SERVERS,
      ...topics,
      MNER_REDIS_URL: 'redis://:hunter2@127.0.0.1:1',
      MNER_BUNDLE: 'nosuch',
    };
    const [missing, down, wrong] = await Promise.all([
      mner(['check', '--json'], { env }),
      mner(['check', '--json'], { env: { ...TINY_WITH_SERVERS, MNER_BROKERS: '127.0.0.1:1', MNER_REDIS_URL: 'none' } }),
      mner(['check', '--json'], { env: { MNER_INPTU_TOPIC: 'x' } }),
    ]);
    expect([missing.code, down.code, wrong.code]).toEqual([1, 1, 1]);
    const bad = ({ stdout }: { stdout: string }) =>
      (JSON.parse(stdout) as Finding[]).filter(({ ok }) => !ok).map(({ what, detail }) => `${what}: ${detail}`);
    expect(bad(missing)).toEqual([
      ...Object.values(topics).map((topic) => expect.stringMatching(`^topic ${topic} .*missing`)),
      expect.stringMatching(/^redis: .*127\.0\.0\.1:1/),
      expect.stringMatching(/^bundle: There is no bundle nosuch/),
    ]);
    expect(bad(down)).toEqual([expect.stringMatching(/^broker: Cannot reach Kafka at 127\.0\.0\.1:1/)]);
    expect(bad(wrong)).toEqual([expect.stringMatching(/^configuration: The variable MNER_INPTU_TOPIC is unknown/)]);
    for (const { stdout, stderr } of [missing, down, wrong]) {
      expect(`${stdout}${stderr}`).not.toMatch(/hunter2|^ {4}at /m);
    }
  }, 60_000);
});

describe('mner check with a file that cannot be read', () => {
  it.each([
    ['kafka_ssl_ca_file', { MNER_KAFKA_SSL: 'true' }],
    ['kafka_sasl_token_file', { MNER_KAFKA_SASL_MECHANISM: 'oauthbearer', MNER_KAFKA_SSL: 'true' }],
  ])(
    'ends with no table and exit code 2 no more: %s is a row of it',
    async (key, more) => {
      const env = {
        ...TINY,
        ...more,
        MNER_BROKERS: '127.0.0.1:1',
        MNER_REDIS_URL: 'none',
        [`MNER_${key.toUpperCase()}`]: '/nosuch/file',
      };
      const [table, json] = await Promise.all([mner(['check'], { env }), mner(['check', '--json'], { env })]);
      expect([table.code, json.code, json.stderr]).toEqual([1, 1, '']);
      const findings = JSON.parse(json.stdout) as Finding[];
      expect(findings.map(({ what, ok }) => [what, ok])).toEqual([
        ['configuration', true],
        ['broker', false],
        ['redis', true],
        ['bundle', true],
        ['execution provider', true],
      ]);
      const detail = findings[1]?.detail ?? '';
      expect(detail).toMatch(new RegExp(`${key}.*/nosuch/file`));
      expect(table.stdout).toMatch(new RegExp(`^no +broker +${literal(detail)}$`, 'm'));
    },
    60_000,
  );
});

function literal(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
