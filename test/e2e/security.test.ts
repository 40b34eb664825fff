import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { brokerOf } from '#mner/adapters.js';
import { loadConfig } from '#mner/config/load.js';
import { silent } from '#mner/telemetry/events.js';
import {
  AUDIENCE,
  type Door,
  ISSUER,
  PASSWORD,
  type SecuredKafka,
  startSecuredKafka,
} from '../stream/kafka/secured-kafka.js';
import { type Authority, authority, type Issued } from '../support/authority.js';
import { TINY } from '../support/servers.js';
import { tokenSigner } from '../support/tokens.js';
import { mner } from '../support/worker-process.js';

const absent = !process.env.MNER_TEST_BROKERS;
const page = readFileSync(new URL('../../docs/security.md', import.meta.url), 'utf8');
/** What docs/security.md says of each thing that may be wrong. */
const SAID = new Map(
  [...page.matchAll(/^\| (.+?) \| `(tls_failed|broker_unreachable|authentication_failed)` \| (.+?) \|$/gm)].map(
    ([, what = '', code = '', sentence = '']) => [what, { code, sentence }],
  ),
);

describe.skipIf(absent)(`a wire that is set up wrong${absent ? ' (skipped without MNER_TEST_BROKERS)' : ''}`, () => {
  const signer = tokenSigner();
  let secured: SecuredKafka;
  let strange: Authority;
  let foreign: Issued;
  let endpoint: Server;
  let folder = '';

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'mner-e2e-security-'));
    [secured, strange] = await Promise.all([startSecuredKafka(signer.jwks), authority()]);
    foreign = await strange.issue();
    writeFileSync(join(folder, 'stale'), signer.token({ iss: ISSUER, aud: AUDIENCE, sub: 'mner' }, -60));
    endpoint = createServer((_, response) => response.writeHead(401).end('{"error":"invalid_client"}'));
    await new Promise<void>((resolve) => endpoint.listen(0, '127.0.0.1', resolve));
  }, 120_000);
  afterAll(async () => {
    endpoint?.close();
    await secured?.stop();
    await strange?.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  const at = (door: Door) => ({ MNER_BROKERS: secured.at(door) });
  const tls = (door: Door) => ({
    ...at(door),
    MNER_KAFKA_SSL: 'true',
    MNER_KAFKA_SSL_CA_FILE: secured.authority.ca,
  });
  const login = (mechanism: string, password: string) => ({
    MNER_KAFKA_SASL_MECHANISM: mechanism,
    MNER_KAFKA_SASL_USERNAME: 'mner',
    MNER_KAFKA_SASL_PASSWORD: password,
  });

  const CASES: [string, () => Record<string, string>][] = [
    ['an authority that is not trusted here', () => ({ ...tls('TLS'), MNER_KAFKA_SSL_CA_FILE: strange.ca })],
    ['a certificate that has ended', () => tls('EXPIRED')],
    ['a certificate of another host', () => tls('ELSEWHERE')],
    ['a broker that asks for a client certificate', () => tls('MUTUAL')],
    [
      'a client certificate that the broker does not trust',
      () => ({ ...tls('MUTUAL'), MNER_KAFKA_SSL_CERT_FILE: foreign.cert, MNER_KAFKA_SSL_KEY_FILE: foreign.key }),
    ],
    ['TLS on a port without it', () => ({ ...tls('TLS'), ...at('BEARER') })],
    ['no TLS, or no login, where the broker wants it', () => at('TLS')],
    ['no TLS, or no login, where the broker wants it', () => tls('LOGIN')],
    ['a wrong user or password', () => ({ ...tls('LOGIN'), ...login('plain', 'hunter2') })],
    ['a wrong user or password', () => ({ ...tls('LOGIN'), ...login('scram-sha-512', 'hunter2') })],
    ['a mechanism that the broker does not have', () => ({ ...at('BEARER'), ...login('plain', PASSWORD) })],
    [
      'a token that the broker refuses',
      () => ({
        ...at('BEARER'),
        MNER_KAFKA_SASL_MECHANISM: 'oauthbearer',
        MNER_KAFKA_SASL_TOKEN_FILE: join(folder, 'stale'),
      }),
    ],
    [
      'a token endpoint that refuses the client',
      () => ({
        ...at('BEARER'),
        MNER_KAFKA_SASL_MECHANISM: 'oauthbearer',
        MNER_KAFKA_SASL_TOKEN_URL: `http://127.0.0.1:${(endpoint.address() as AddressInfo).port}/token`,
        MNER_KAFKA_SASL_CLIENT_ID: 'mner',
        MNER_KAFKA_SASL_CLIENT_SECRET: 'hunter2',
      }),
    ],
  ];

  it.concurrent.each(CASES)(
    '%s: its code, one sentence, and exit code 4',
    { timeout: 120_000 },
    async (what, settings) => {
      const { code = '', sentence = '' } = SAID.get(what) ?? {};
      const env = { ...TINY, MNER_REDIS_URL: 'none', MNER_HTTP_PORT: '0', ...settings() };
      const broker = brokerOf(loadConfig({ env }).config, silent);
      const error: unknown = await broker.connect().catch((caught: unknown) => caught);
      await broker.close();
      expect(error).toMatchObject({ code });

      // No bundle, so that the check need not start a model.
      const check = mner(['check', '--json'], { env: { ...env, MNER_BUNDLE: 'none' } });
      const [ran, checked] = await Promise.all([mner(['run'], { env }), check]);
      const sentences = ran.stderr.split('\n').filter((line) => line !== '' && !line.startsWith('{'));
      expect(sentences).toEqual([expect.stringMatching(/^mner: .*\.$/)]);
      expect(sentences[0]).toContain(sentence);
      expect(ran.code).toBe(4);
      const findings = JSON.parse(checked.stdout) as { what: string; ok: boolean; detail: string }[];
      const finding = findings.find((one) => one.what === 'broker');
      expect([checked.code, finding?.ok, `mner: ${finding?.detail}`]).toEqual([1, false, sentences[0]]);
      expect(`${ran.stderr}${checked.stdout}${checked.stderr}`).not.toMatch(/hunter2|^ {4}at /m);
    },
  );

  it('is all that docs/security.md lists', () => {
    expect(new Set(CASES.map(([what]) => what))).toEqual(new Set(SAID.keys()));
  });
});
