import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type LoadOptions, loadConfig } from '#mner/config/load.js';
import { MnerError } from '#mner/errors.js';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'mner-config-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

/** The sentence that a configuration is refused with. */
function refusal(options: LoadOptions): string {
  try {
    loadConfig({ env: {}, ...options });
  } catch (error) {
    expect(error).toBeInstanceOf(MnerError);
    expect((error as MnerError).code).toBe('bad_config');
    return (error as MnerError).message;
  }
  throw new Error('The configuration was accepted.');
}

describe('what is in force', () => {
  test('without anything given, the names of the contract', () => {
    const { config, origins } = loadConfig({ env: {}, cores: 3 });
    expect(config).toMatchObject({
      input_topic: 'tweets',
      output_topic: 'tweet-entities',
      mentions_topic: null,
      dead_letter_topic: 'tweets.dead',
      replay_topic: null,
      group: 'mner',
      delivery: 'at_least_once',
      bundle: 'ham',
      providers: ['cpu'],
      mentions: 'ignore',
      threads: 3,
      batch_deadline_ms: 20,
      http_host: '127.0.0.1',
      http_port: 8080,
      playground: false,
      image_allow: [],
      models_dir: resolve('models'),
    });
    expect(new Set(Object.values(origins))).toEqual(new Set(['default']));
  });

  test('file, environment and flags in rising order, each with its origin', () => {
    const path = file('three.yaml', 'group: from-file\ninput_topic: from-file\nhttp_port: 1\n');
    const { config, origins } = loadConfig({
      env: { MNER_CONFIG: path, MNER_INPUT_TOPIC: 'from-env', MNER_HTTP_PORT: '2' },
      flags: { http_port: '3' },
    });
    expect([config.group, config.input_topic, config.http_port]).toEqual(['from-file', 'from-env', 3]);
    expect([origins.group, origins.input_topic, origins.http_port]).toEqual([path, 'MNER_INPUT_TOPIC', '--http-port']);
  });

  test('texts are read by the type of their field', () => {
    const { config } = loadConfig({
      env: {
        MNER_BROKERS: 'a:9092, b:9093,',
        MNER_PLAYGROUND: 'on',
        MNER_REDIS_URL: 'none',
        MNER_MENTIONS_TOPIC: 'tweet-mentions',
        MNER_REPLAY_TOPIC: 'off',
        MNER_IMAGE_ALLOW: '10.0.0.0/8,localhost:8099,[::1]:80',
        MNER_GROUP: '',
      },
    });
    expect(config).toMatchObject({
      brokers: ['a:9092', 'b:9093'],
      playground: true,
      redis_url: null,
      mentions_topic: 'tweet-mentions',
      replay_topic: null,
      image_allow: ['10.0.0.0/8', 'localhost:8099', '[::1]:80'],
      group: 'mner',
    });
  });

  test('a file may be JSON, hold lists, or be empty', () => {
    const json = file('lists.json', '{"brokers": ["a:1", "b:2"], "providers": "cuda,cpu", "mentions_topic": null}');
    expect(loadConfig({ env: {}, file: json }).config).toMatchObject({
      brokers: ['a:1', 'b:2'],
      providers: ['cuda', 'cpu'],
      mentions_topic: null,
    });
    expect(loadConfig({ env: {}, file: file('empty.yaml', '# nothing\n') }).config.group).toBe('mner');
  });

  test('the aliases work, and our own name wins over them', () => {
    const env = { KAFKA_BROKERS: 'alias:1', REDIS_URL: 'redis://alias', MNER_BROKERS: 'own:1' };
    const { config, origins } = loadConfig({ env });
    expect([config.brokers, config.redis_url]).toEqual([['own:1'], 'redis://alias']);
    expect([origins.brokers, origins.redis_url]).toEqual(['MNER_BROKERS', 'REDIS_URL']);
  });

  test('a secret comes from a file, without the line break at its end', () => {
    const path = file('password', 'p w\n');
    const env = {
      MNER_KAFKA_SASL_MECHANISM: 'plain',
      MNER_KAFKA_SASL_USERNAME: 'u',
      MNER_KAFKA_SASL_PASSWORD_FILE: path,
    };
    const { config, origins } = loadConfig({ env });
    expect(config.kafka_sasl_password).toBe('p w');
    expect(origins.kafka_sasl_password).toBe('MNER_KAFKA_SASL_PASSWORD_FILE');
  });

  test("variables of the tests and of Kubernetes' services are left alone", () => {
    const env = {
      MNER_TEST_DATA: '/data',
      MNER_SERVICE_HOST: '10.0.0.1',
      MNER_SERVICE_PORT_HTTP: '8080',
      MNER_PORT: 'tcp://10.0.0.1:8080',
      MNER_PORT_8080_TCP_ADDR: '10.0.0.1',
      MNER_REDIS_SERVICE_HOST: '10.0.0.2',
    };
    expect(loadConfig({ env }).config.http_port).toBe(8080);
  });
});

describe('what is refused, in one sentence', () => {
  test.each<[string, LoadOptions, string]>([
    [
      'an unknown variable',
      { env: { MNER_INPUT_TOPICS: 'x' } },
      'The variable MNER_INPUT_TOPICS is unknown; did you mean MNER_INPUT_TOPIC?',
    ],
    [
      'an unknown variable like no other',
      { env: { MNER_ZZZZZZZZ: 'x' } },
      'The variable MNER_ZZZZZZZZ is unknown; `mner config docs` lists the variables.',
    ],
    [
      'the port of nothing in particular',
      { env: { MNER_PORT: '8081' } },
      'The variable MNER_PORT is unknown; did you mean MNER_HTTP_PORT?',
    ],
    [
      'an unknown flag',
      { flags: { inptu_topic: 'x' } },
      'The flag --inptu-topic is unknown; did you mean --input-topic?',
    ],
    [
      'a port out of range',
      { env: { MNER_HTTP_PORT: '99999' } },
      'MNER_HTTP_PORT is "99999", but must be a whole number from 0 to 65535.',
    ],
    [
      'a number that is none',
      { flags: { threads: '1.5' } },
      '--threads is "1.5", but must be a whole number from 0 to 256.',
    ],
    [
      'a switch that is none',
      { env: { MNER_PLAYGROUND: 'maybe' } },
      'MNER_PLAYGROUND is "maybe", but must be true or false.',
    ],
    [
      'a choice that is none',
      { env: { MNER_MENTIONS: 'both' } },
      'MNER_MENTIONS is "both", but must be one of ignore, entity.',
    ],
    [
      'a list with a wrong entry',
      { env: { MNER_PROVIDERS: 'cpu,gpu' } },
      'MNER_PROVIDERS is "cpu,gpu", but must be a list, separated by commas, of cpu, webgpu, cuda.',
    ],
    [
      'an empty list',
      { flags: { brokers: ',' } },
      '--brokers is ",", but must be a list of host:port, separated by commas.',
    ],
    [
      'a broker without a port',
      { env: { KAFKA_BROKERS: 'kafka' } },
      'KAFKA_BROKERS is "kafka", but must be a list of host:port, separated by commas.',
    ],
    [
      'an origin that is none',
      { env: { MNER_IMAGE_ALLOW: 'example.org' } },
      'MNER_IMAGE_ALLOW is "example.org", but must be a list of host:port or CIDR, separated by commas.',
    ],
    [
      'a topic with a space',
      { env: { MNER_INPUT_TOPIC: 'my tweets' } },
      'MNER_INPUT_TOPIC is "my tweets", but must be a topic name: letters, digits, dot, underscore and hyphen, at most 249 of them.',
    ],
    [
      'exactly once with a session that is too short',
      { env: { MNER_DELIVERY: 'exactly_once', MNER_TRANSACTION_TIMEOUT_MS: '40000' } },
      'transaction_timeout_ms (40000) must be less than session_timeout_ms (30000), since what a dead worker leaves open must be aborted by the time that another one takes over.',
    ],
    [
      'a file that is not there',
      { file: '/nowhere/mner.yaml' },
      'The configuration file /nowhere/mner.yaml cannot be read: it does not exist.',
    ],
    [
      "a secret's file that is not there",
      { env: { MNER_REDIS_URL_FILE: '/nowhere/url' } },
      'The file /nowhere/url, which MNER_REDIS_URL_FILE names, cannot be read: it does not exist.',
    ],
    [
      'a secret given twice',
      { env: { MNER_REDIS_URL: 'redis://a', MNER_REDIS_URL_FILE: '/nowhere/url' } },
      'MNER_REDIS_URL and MNER_REDIS_URL_FILE must not both be set.',
    ],
  ])('%s', (_what, options, message) => {
    expect(refusal(options)).toBe(message);
  });

  test.each<[string, string, string, string]>([
    ['an unknown key', 'a.yaml', 'input_topics: x\n', 'input_topics in FILE is unknown; did you mean input_topic?'],
    ['a key in another style', 'b.yaml', 'httpPort: 1\n', 'httpPort in FILE is unknown; did you mean http_port?'],
    [
      'a nested key',
      'c.json',
      '{"kafka": {"brokers": "a:1"}}',
      'kafka in FILE is unknown; `mner config docs` lists the keys.',
    ],
    [
      '__proto__',
      'd.json',
      '{"__proto__": {"group": "x"}}',
      '__proto__ in FILE is unknown; `mner config docs` lists the keys.',
    ],
    [
      'a value of the wrong type',
      'e.yaml',
      'group: 12\n',
      'group in FILE is 12, but must be a name of letters, digits, dot, underscore and hyphen.',
    ],
    [
      'a value left out',
      'f.yaml',
      'http_port:\n',
      'http_port in FILE is null, but must be a whole number from 0 to 65535.',
    ],
    ['a list', 'g.yaml', '- group\n', 'The configuration file FILE must hold names and values, not a list or a text.'],
    [
      'a key twice',
      'h.yaml',
      'group: a\ngroup: b\n',
      'The configuration file FILE is not valid YAML: a name stands there twice, at line 2, column 1.',
    ],
    ['broken YAML', 'i.yaml', 'group: [secret\n', 'The configuration file FILE is not valid YAML at line 2, column 1.'],
  ])('in a file, %s', (_what, name, content, message) => {
    const path = file(name, content);
    expect(refusal({ file: path })).toBe(message.replace('FILE', path));
  });

  test('broken JSON, without a word of its content', () => {
    const path = file('broken.json', '{"kafka_sasl_password": secret}');
    const message = refusal({ file: path });
    expect(message).toContain(`The configuration file ${path} is not valid JSON`);
    expect(message).not.toContain('secret');
  });

  test.skipIf(process.getuid?.() === 0)('a file that may not be read', () => {
    const path = file('locked.yaml', 'group: x\n');
    chmodSync(path, 0);
    expect(refusal({ file: path })).toBe(`The configuration file ${path} cannot be read: permission is denied.`);
  });

  test('a secret is not shown', () => {
    const message = refusal({ env: { MNER_REDIS_URL: 'http://user:hunter2@host' } });
    expect(message).toBe(
      'MNER_REDIS_URL must be a URL that begins with redis:// or rediss://, or none; what it is set to is not shown, since it may hold a secret.',
    );
  });

  test('all problems at once, a sentence each', () => {
    const message = refusal({ env: { MNER_HTTP_PORT: 'x', MNER_OCRR: 'on', MNER_MENTIONS: 'y' } });
    expect(message.match(/MNER_HTTP_PORT is|MNER_OCRR is|MNER_MENTIONS is/g)).toHaveLength(3);
  });
});
