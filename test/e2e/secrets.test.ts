import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FIELDS } from '#mner/config/fields.js';
import { type LocalKafka, startKafka } from '#mner/local/kafka.js';
import { type LocalRedis, startRedis } from '#mner/local/redis.js';
import { kafkaBroker } from '#mner/stream/kafka/broker.js';
import { inbox } from '../stream/inbox.js';
import { freshName, text } from '../stream/names.js';
import { NO_SERVERS, TINY } from '../support/servers.js';
import { mner, startWorker } from '../support/worker-process.js';

/** Stands in every secret. A colon, a slash and a space, so that encoded forms of it are told apart. */
const MARK = 'hunter2:/ mark';
/** As it may appear: itself, in a URL, in a form, in base64 at each of the three places in a group. */
const FORMS = [
  'hunter2',
  ...[0, 1, 2].map((shift) =>
    Buffer.from(`${'x'.repeat(shift)}${MARK}`)
      .toString('base64')
      .slice(shift === 0 ? 0 : 4, 16),
  ),
];

describe.skipIf(NO_SERVERS)(`secrets are in nothing that we say${NO_SERVERS}`, () => {
  let kafka: LocalKafka;
  let redis: LocalRedis;
  let endpoint: Server;
  const url = encodeURIComponent(MARK);

  beforeAll(async () => {
    const login = 'org.apache.kafka.common.security.plain.PlainLoginModule required';
    [kafka, redis] = await Promise.all([
      startKafka({
        listeners: { LOGIN: 'SASL_PLAINTEXT' },
        properties: {
          'listener.name.login.sasl.enabled.mechanisms': 'PLAIN',
          'listener.name.login.plain.sasl.jaas.config': `${login} user_mner="${MARK}";`,
        },
      }),
      startRedis({ config: { requirepass: MARK } }),
    ]);
    // Says what it was told, as a careless server does.
    endpoint = createServer((request, response) => {
      response.writeHead(400).end(JSON.stringify({ error: `Bad client ${request.headers.authorization} ${MARK}` }));
    });
    await new Promise<void>((resolve) => endpoint.listen(0, '127.0.0.1', resolve));
  }, 240_000);
  afterAll(async () => {
    endpoint?.close();
    await Promise.all([kafka?.stop(), redis?.stop()]);
  });

  const common = () => ({ ...TINY, MNER_LOG_LEVEL: 'debug' });
  const byPassword = () => ({
    ...common(),
    MNER_BROKERS: kafka.listeners.LOGIN?.join(',') ?? '',
    MNER_KAFKA_SASL_MECHANISM: 'plain',
    MNER_KAFKA_SASL_USERNAME: 'mner',
    MNER_KAFKA_SASL_PASSWORD: MARK,
    MNER_REDIS_URL: `redis://:${url}@127.0.0.1:${redis.port}`,
    MNER_REDIS_SENTINEL_PASSWORD: MARK,
    MNER_IMAGE_PROXY: `http://proxy:${url}@127.0.0.1:1`,
  });
  const byToken = () => ({
    ...common(),
    MNER_BROKERS: kafka.listeners.LOGIN?.join(',') ?? '',
    MNER_KAFKA_SASL_MECHANISM: 'oauthbearer',
    MNER_KAFKA_SASL_TOKEN_URL: `http://127.0.0.1:${(endpoint.address() as AddressInfo).port}/token?key=${url}`,
    MNER_KAFKA_SASL_CLIENT_ID: 'mner',
    MNER_KAFKA_SASL_CLIENT_SECRET: MARK,
    MNER_REDIS_URL: 'none',
  });
  const expectClean = (said: string) => {
    for (const form of FORMS) expect(said).not.toContain(form);
  };

  it('and here every one is set', () => {
    const set = new Set([...Object.keys(byPassword()), ...Object.keys(byToken())]);
    expect(FIELDS.filter(({ secret, env }) => secret && !set.has(env)).map(({ key }) => key)).toEqual([]);
  });

  it('not by a worker, through work, a lost Redis and a broker that restarts', async () => {
    const topics = { input: freshName('in'), output: freshName('out'), dead: freshName('dead') };
    const broker = kafkaBroker({ brokers: kafka.brokers });
    await broker.createTopics(Object.values(topics).map((topic) => ({ topic, partitions: 1 })));
    const worker = await startWorker({
      ...byPassword(),
      MNER_INPUT_TOPIC: topics.input,
      MNER_OUTPUT_TOPIC: topics.output,
      MNER_DEAD_LETTER_TOPIC: topics.dead,
    });
    const box = inbox();
    await broker.consumer({ topics: [topics.output, topics.dead], group: freshName('watch') }).start(box);
    const producer = await broker.producer();
    const send = (id: string) =>
      producer.send({ topic: topics.input, partition: 0 }, [
        text(`{"id":"${id}","text":"Kobe Bryant","media":[{"type":"photo","url":"http://pictures.test/${id}.jpg"}]}`),
        text('rubbish'),
      ]);
    const came = (count: number) =>
      box.until(
        ({ records }) =>
          new Set(records.all.map(({ value, topic, offset }) => `${topic}/${offset}/${value}`)).size >= count,
      );
    await send('1');
    await came(2);
    redis.signal('SIGKILL');
    await kafka.nodes[0]?.restart();
    await send('2');
    await came(4);
    const pages = await Promise.all(
      ['/info', '/metrics', '/readyz', '/livez'].map(async (path) => (await fetch(`${worker.url}${path}`)).text()),
    );
    expect(pages[0]).toContain('"kafka_sasl_password":"***"');
    expect(await worker.stop()).toBe(0);
    const records = box.records.all.map(({ value, headers }) => `${value} ${headers.join(' ')}`);
    expect(worker.log()).toMatch(/Redis|cache/i);
    expectClean([worker.log(), ...pages, ...records].join('\n'));
    await broker.close();
    await redis.restart();
  }, 240_000);

  it('not by a command, whatever fails', async () => {
    const wrong = { MNER_KAFKA_SASL_USERNAME: 'nobody' };
    const noRedis = { MNER_REDIS_URL: `redis://:${url}@127.0.0.1:1` };
    const wrongRedis = { MNER_REDIS_URL: `redis://:${url}x@127.0.0.1:${redis.port}` };
    const runs: [string[], Record<string, string>][] = [
      [['config', 'print'], byPassword()],
      [['config', 'print', '--json'], byToken()],
      [['check', '--json'], { ...byPassword(), ...noRedis }],
      [['check'], { ...byToken(), ...wrongRedis }],
      [['run'], { ...byPassword(), ...wrong }],
      [['run'], byToken()],
      [['topics'], { ...byToken(), MNER_KAFKA_SASL_TOKEN_URL: `http://127.0.0.1:1/?key=${url}` }],
      [['run'], { ...byPassword(), MNER_REDIS_URL: `nonsense://:${url}@h` }],
      [['run'], { ...byPassword(), MNER_IMAGE_PROXY: `${MARK}` }],
      [['config', 'print', '--kafka-sasl-password', MARK, '--inptu', MARK], byToken()],
    ];
    const ended: string[] = [];
    for (const [args, env] of runs) {
      const { code, stdout, stderr } = await mner(args, { env: { MNER_HTTP_PORT: '0', ...env } });
      expect([0, 1, 2, 4]).toContain(code);
      expect(stdout + stderr).not.toBe('');
      ended.push(`${args.join(' ')}\n${stdout}${stderr}`);
    }
    for (const said of ended) expectClean(said.replace(`--kafka-sasl-password ${MARK} --inptu ${MARK}`, ''));
  }, 240_000);
});
