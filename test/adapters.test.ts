import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { brokerOf } from '#mner/adapters.js';
import { loadConfig } from '#mner/config/load.js';
import { kafkaBroker } from '#mner/stream/kafka/broker.js';
import type { Broker } from '#mner/stream/port.js';
import { silent } from '#mner/telemetry/events.js';
import { inbox } from './stream/inbox.js';
import {
  AUDIENCE,
  type Door,
  ISSUER,
  PASSWORD,
  type SecuredKafka,
  startSecuredKafka,
} from './stream/kafka/secured-kafka.js';
import { freshName, text } from './stream/names.js';
import { type Authority, authority, type Issued } from './support/authority.js';
import { tokenSigner } from './support/tokens.js';

const absent = !process.env.MNER_TEST_BROKERS;
const signer = tokenSigner();
const token = (aud = AUDIENCE) => signer.token({ iss: ISSUER, aud, sub: 'mner' }, 300);

interface Case {
  readonly door: Door;
  readonly env: Readonly<Record<string, string>>;
  /** Puts something good in the file's place, something that is refused, and something good that is new. */
  readonly first: () => void;
  readonly bad: () => void;
  readonly next: () => void;
  /** With which a new connection is refused meanwhile. */
  readonly code: string;
}

describe.skipIf(absent)(
  `a broker as the configuration wants it${absent ? ' (skipped without MNER_TEST_BROKERS)' : ''}`,
  () => {
    let secured: SecuredKafka;
    let plain: Broker;
    let stranger: Authority;
    let theirs: Issued;
    let renewed: Issued;
    let endpoint: Server;
    /** What the token endpoint wants of its client. */
    let secret = 'one';
    let folder = '';

    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), 'mner-adapters-'));
      [secured, stranger] = await Promise.all([startSecuredKafka(signer.jwks), authority()]);
      [theirs, renewed] = await Promise.all([stranger.issue(), secured.authority.issue({ name: 'the next one' })]);
      plain = kafkaBroker({ brokers: secured.kafka.brokers });
      endpoint = createServer((request, response) => {
        const known = request.headers.authorization === `Basic ${Buffer.from(`mner:${secret}`).toString('base64')}`;
        const answer = known ? { access_token: token(), expires_in: 0 } : { error: 'invalid_client' };
        response.writeHead(known ? 200 : 401, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
      });
      await new Promise<void>((resolve) => endpoint.listen(0, '127.0.0.1', resolve));
    }, 180_000);
    afterAll(async () => {
      endpoint?.close();
      await plain?.close();
      await secured?.stop();
      await stranger?.remove();
      rmSync(folder, { recursive: true, force: true });
    });

    const at = (name: string) => join(folder, name);
    const put = (name: string, content: string) => () => writeFileSync(at(name), content);
    const putPair = (from: () => Issued) => () => {
      copyFileSync(from().cert, at('cert'));
      copyFileSync(from().key, at('key'));
    };
    const authorities =
      (...of: (() => Authority)[]) =>
      () =>
        writeFileSync(at('ca'), of.map((one) => readFileSync(one().ca, 'utf8')).join(''));
    const TLS = () => ({ MNER_KAFKA_SSL: 'true', MNER_KAFKA_SSL_CA_FILE: secured.authority.ca });

    const CASES: readonly [string, () => Case][] = [
      [
        'kafka_sasl_token_file',
        () => ({
          door: 'BEARER',
          env: { MNER_KAFKA_SASL_MECHANISM: 'oauthbearer', MNER_KAFKA_SASL_TOKEN_FILE: at('token') },
          first: put('token', token()),
          bad: put('token', token('elsewhere')),
          next: () => writeFileSync(at('token'), token()),
          code: 'authentication_failed',
        }),
      ],
      [
        'kafka_sasl_client_secret_file, for the tokens of kafka_sasl_token_url',
        () => ({
          door: 'BEARER',
          env: {
            MNER_KAFKA_SASL_MECHANISM: 'oauthbearer',
            MNER_KAFKA_SASL_TOKEN_URL: `http://127.0.0.1:${(endpoint.address() as AddressInfo).port}/token`,
            MNER_KAFKA_SASL_CLIENT_ID: 'mner',
            MNER_KAFKA_SASL_CLIENT_SECRET_FILE: at('secret'),
          },
          first: put('secret', 'one\n'),
          bad: () => {
            secret = 'another';
          },
          next: put('secret', 'another\n'),
          code: 'authentication_failed',
        }),
      ],
      [
        'kafka_sasl_password_file',
        () => ({
          door: 'LOGIN',
          env: {
            ...TLS(),
            MNER_KAFKA_SASL_MECHANISM: 'plain',
            MNER_KAFKA_SASL_USERNAME: 'mner',
            MNER_KAFKA_SASL_PASSWORD_FILE: at('password'),
          },
          first: put('password', PASSWORD),
          bad: put('password', 'wrong'),
          next: put('password', `${PASSWORD}\n`),
          code: 'authentication_failed',
        }),
      ],
      [
        'kafka_ssl_ca_file',
        () => ({
          door: 'TLS',
          env: { ...TLS(), MNER_KAFKA_SSL_CA_FILE: at('ca') },
          first: authorities(() => secured.authority),
          bad: authorities(() => stranger),
          // Both, as while brokers go from one authority to the other.
          next: authorities(
            () => stranger,
            () => secured.authority,
          ),
          code: 'tls_failed',
        }),
      ],
      [
        'kafka_ssl_cert_file and kafka_ssl_key_file',
        () => ({
          door: 'MUTUAL',
          env: { ...TLS(), MNER_KAFKA_SSL_CERT_FILE: at('cert'), MNER_KAFKA_SSL_KEY_FILE: at('key') },
          first: putPair(() => secured.client),
          bad: putPair(() => theirs),
          next: putPair(() => renewed),
          code: 'tls_failed',
        }),
      ],
    ];

    it.each(CASES)(
      'uses what is in the place of %s for its next connection',
      { timeout: 60_000 },
      async (_what, make) => {
        const { door, env, first, bad, next, code } = make();
        first();
        const broker = brokerOf(loadConfig({ env: { ...env, MNER_BROKERS: secured.at(door) } }).config, silent);
        onTestFinished(() => broker.close());
        await broker.connect();
        const topic = freshName('rotation');
        await plain.createTopics([{ topic, partitions: 1 }]);
        const before = await broker.producer();
        await before.send({ topic, partition: 0 }, [text('first')]);
        bad();
        await expect(broker.producer()).rejects.toMatchObject({ code });
        next();
        await (await broker.producer()).send({ topic, partition: 0 }, [text('next')]);
        const box = inbox();
        await broker.consumer({ topics: [topic], group: freshName('group') }).start(box);
        await box.until(({ records }) => records.all.length === 2);
        expect(box.records.all.map(({ value }) => String(value))).toEqual(['first', 'next']);
      },
    );
  },
);
