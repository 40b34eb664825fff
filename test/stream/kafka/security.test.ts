import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { certificates } from '#mner/credentials/certificates.js';
import { rotating } from '#mner/credentials/rotating.js';
import { readSecretFile } from '#mner/credentials/text-file.js';
import { runKafkaTool } from '#mner/local/kafka-tool.js';
import { type KafkaOptions, kafkaBroker } from '#mner/stream/kafka/broker.js';
import type { Broker } from '#mner/stream/port.js';
import type { Event } from '#mner/telemetry/events.js';
import { authority } from '../../support/authority.js';
import { tokenSigner } from '../../support/tokens.js';
import { type Inbox, inbox } from '../inbox.js';
import { freshName, text } from '../names.js';
import { AUDIENCE, type Door, ISSUER, PASSWORD, type SecuredKafka, startSecuredKafka } from './secured-kafka.js';

const absent = !process.env.MNER_TEST_BROKERS;
const signer = tokenSigner();
const CLAIMS = { iss: ISSUER, aud: AUDIENCE, sub: 'mner' };

describe.skipIf(absent)(`Kafka behind TLS and logins${absent ? ' (skipped without MNER_TEST_BROKERS)' : ''}`, () => {
  let secured: SecuredKafka;
  let plain: Broker;
  let folder = '';
  const opened: Broker[] = [];

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'mner-security-'));
    secured = await startSecuredKafka(signer.jwks);
    plain = kafkaBroker({ brokers: secured.kafka.brokers });
    await Promise.all([setPassword('SCRAM-SHA-256', 'one'), setPassword('SCRAM-SHA-512', 'two')]);
  }, 180_000);
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((broker) => broker.close()));
  });
  afterAll(async () => {
    await plain?.close();
    await secured?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const setPassword = (mechanism: 'SCRAM-SHA-256' | 'SCRAM-SHA-512', password: string) =>
    runKafkaTool('kafka.admin.ConfigCommand', [
      ...['--bootstrap-server', secured.kafka.brokers.join(','), '--alter', '--entity-type', 'users'],
      ...['--entity-name', 'scram', '--add-config'],
      `${mechanism}=[password=${password}]`,
    ]);

  const open = (door: Door, options: Omit<KafkaOptions, 'brokers'>) => {
    const broker = kafkaBroker({ brokers: [secured.at(door)], ...options });
    opened.push(broker);
    return broker;
  };
  const trusted = () =>
    certificates({
      ca: { path: secured.authority.ca, setting: 'kafka_ssl_ca_file' },
    });
  const pair = ({ cert, key }: { cert: string; key: string }, emit?: (event: Event) => void) =>
    certificates(
      {
        ca: { path: secured.authority.ca, setting: 'kafka_ssl_ca_file' },
        cert: { path: cert, setting: 'kafka_ssl_cert_file' },
        key: { path: key, setting: 'kafka_ssl_key_file' },
      },
      emit,
    );
  const topic = async () => {
    const name = freshName('secured');
    await plain.createTopics([{ topic: name, partitions: 1, replicas: 1 }]);
    return name;
  };
  const values = ({ records }: Inbox) => records.all.map(({ value }) => String(value));

  it.each<[string, Door, () => Omit<KafkaOptions, 'brokers'>]>([
    ['TLS', 'TLS', () => ({ tls: trusted() })],
    ['TLS with a client certificate', 'MUTUAL', () => ({ tls: pair(secured.client) })],
    ['PLAIN', 'LOGIN', () => login('plain', 'mner', PASSWORD)],
    ['SCRAM-SHA-256', 'LOGIN', () => login('scram-sha-256', 'scram', 'one')],
    ['SCRAM-SHA-512', 'LOGIN', () => login('scram-sha-512', 'scram', 'two')],
    ['OAUTHBEARER', 'BEARER', () => ({ sasl: bearer(async () => signer.token(CLAIMS, 300)) })],
  ])('by %s records go in and out, in transactions too', async (_what, door, options) => {
    const broker = open(door, options());
    await broker.connect();
    const to = await topic();
    const producer = await broker.producer();
    await producer.send({ topic: to, partition: 0 }, [text('one')]);
    const transactions = await broker.transactions({ id: freshName('id'), timeoutMs: 20_000 });
    await transactions.begin();
    await transactions.send({ topic: to, partition: 0 }, [text('two')]);
    await transactions.commit();
    const box = inbox();
    await broker.consumer({ topics: [to], group: freshName('group') }).start(box);
    await box.until((now) => values(now).length === 2);
    expect(values(box)).toEqual(['one', 'two']);
  });

  it('a connection by OAUTHBEARER proves itself again and again, and nothing stops for it', async () => {
    let asked = 0;
    let news = () => {};
    const token = async () => {
      asked += 1;
      news();
      return signer.token(CLAIMS, 300);
    };
    const broker = open('BEARER', { sasl: bearer(token) });
    const to = await topic();
    const box = inbox();
    const consumer = broker.consumer({ topics: [to], group: freshName('group') });
    await consumer.start(box);
    const producer = await broker.producer();
    await producer.send({ topic: to, partition: 0 }, [text('0')]);
    const connections = asked;
    // The consumer asks for records every 100 ms, so its connections cannot miss the moment.
    for (let round = 1; round <= 2; round += 1) {
      while (asked < connections + 3 * round)
        await new Promise<void>((resolve) => {
          news = resolve;
        });
      await producer.send({ topic: to, partition: 0 }, [text(String(round))]);
      await consumer.commit([{ topic: to, partition: 0, offset: BigInt(round) }]);
    }
    await box.until((now) => values(now).length === 3);
    expect(values(box)).toEqual(['0', '1', '2']);
    expect(box.told).toEqual(['assigned']);
    expect(box.failures).toEqual([]);
  }, 120_000);

  it('files that rotate are used by the next connection, without a restart; a half of one is not', async () => {
    const events: Event[] = [];
    let told = () => {};
    const emit = (event: Event) => {
      events.push(event);
      told();
    };
    const noted = async (what: RegExp, from: number) => {
      while (!events.slice(from).some((event) => event.type === 'note' && what.test(event.message)))
        await new Promise<void>((resolve) => {
          told = resolve;
        });
    };
    const files = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') };
    const install = ({ cert, key }: { cert: string; key: string }) => {
      copyFileSync(cert, files.cert);
      copyFileSync(key, files.key);
    };
    install(secured.client);
    const [node] = secured.kafka.nodes;
    const broker = open('MUTUAL', { tls: pair(files, emit), emit });
    const to = await topic();
    const box = inbox();
    await broker.consumer({ topics: [to], group: freshName('group') }).start(box);

    const whole = readFileSync(secured.client.cert, 'utf8');
    writeFileSync(files.cert, whole.slice(0, whole.length / 2));
    await (await broker.producer()).send({ topic: to, partition: 0 }, [text('with the old')]);
    expect(events).toContainEqual({
      type: 'note',
      level: 'warn',
      message: `kafka_ssl_cert_file (${files.cert}) holds no whole certificate (PEM). What was read before stays.`,
    });

    // Nobody here trusts this one: that it is refused proves that it is used.
    const strange = await authority();
    install(await strange.issue());
    await expect(broker.producer()).rejects.toMatchObject({
      code: 'tls_failed',
      message: `Cannot reach Kafka at ${secured.at('MUTUAL')}: it does not trust the client certificate in \`kafka_ssl_cert_file\`; use one that it does.`,
    });
    await strange.remove();
    const from = events.length;
    await node?.restart();
    await noted(/^kafkajs: .*(certificate unknown|unknown ca|bad certificate)/, from);

    install(await secured.authority.issue({ name: 'the next one' }));
    await (await broker.producer()).send({ topic: to, partition: 0 }, [text('with the new')]);
    await box.until((now) => values(now).includes('with the new'));
    expect(box.failures).toEqual([]);
  }, 120_000);

  it('a password that is changed with its file is used by the next connection', async () => {
    const file = join(folder, 'password');
    writeFileSync(file, 'two\n');
    const password = rotating([file], () => readSecretFile(file, 'kafka_sasl_password_file'));
    const broker = open('LOGIN', {
      tls: trusted(),
      sasl: { mechanism: 'scram-sha-512', username: 'scram', password },
    });
    await broker.connect();
    await setPassword('SCRAM-SHA-512', 'changed');
    await expect(broker.producer()).rejects.toMatchObject({ code: 'authentication_failed' });
    writeFileSync(file, 'changed\n');
    const producer = await broker.producer();
    await producer.send({ topic: await topic(), partition: 0 }, [text('in')]);
  }, 120_000);

  const login = (mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512', username: string, word: string) => ({
    tls: trusted(),
    sasl: { mechanism, username, password: () => word },
  });
  const bearer = (token: () => Promise<string>) => ({ mechanism: 'oauthbearer' as const, token });
});
