import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type LocalKafka, startKafka } from '#mner/local/kafka.js';
import type { SecurityProtocol } from '#mner/local/kafka-node.js';
import { type Authority, authority, type Issued } from '../../support/authority.js';

/** One Kafka behind many doors, each a listener, so that one start serves all tests of the wire. */
export const DOORS = {
  /** TLS, with a good certificate. */
  TLS: 'SSL',
  /** Asks for a client certificate. */
  MUTUAL: 'SSL',
  /** Its certificate ended yesterday. */
  EXPIRED: 'SSL',
  /** Its certificate is another host's. */
  ELSEWHERE: 'SSL',
  /** PLAIN and SCRAM over TLS. */
  LOGIN: 'SASL_SSL',
  /** OAUTHBEARER. */
  BEARER: 'SASL_PLAINTEXT',
} as const satisfies Record<string, SecurityProtocol>;
export type Door = keyof typeof DOORS;

/** Who issues the tokens, and for whom they are. */
export const ISSUER = 'http://issuer.test';
export const AUDIENCE = 'kafka';
/** After this long a connection of the door BEARER must prove itself again, in milliseconds. */
export const REAUTHENTICATE_MS = 12_000;

export interface SecuredKafka {
  readonly kafka: LocalKafka;
  readonly authority: Authority;
  /** A certificate that the door MUTUAL takes. */
  readonly client: Issued;
  /** `127.0.0.1:PORT` */
  at(door: Door): string;
  stop(): Promise<void>;
}

/**
 * @param jwks the keys that sign tokens, as a JSON Web Key Set
 * @param properties further lines of server.properties
 */
export async function startSecuredKafka(jwks: object, properties: Record<string, string> = {}): Promise<SecuredKafka> {
  const ours = await authority();
  const [good, expired, elsewhere, client] = await Promise.all([
    ours.issue(),
    ours.issue({ expired: true }),
    ours.issue({ altNames: 'DNS:kafka.elsewhere.test' }),
    ours.issue({ name: 'mner-worker' }),
  ]);
  const keys = join(ours.folder, 'jwks.json');
  await writeFile(keys, JSON.stringify(jwks));
  const jwksUrl = `file://${keys}`;
  const plain = 'org.apache.kafka.common.security.plain.PlainLoginModule required';
  const scram = 'org.apache.kafka.common.security.scram.ScramLoginModule required;';
  const bearer = 'org.apache.kafka.common.security.oauthbearer';
  const kafka = await startKafka({
    listeners: DOORS,
    jvm: [`-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=${jwksUrl}`],
    properties: {
      ...(await keystores({ TLS: good, MUTUAL: good, EXPIRED: expired, ELSEWHERE: elsewhere, LOGIN: good })),
      'listener.name.mutual.ssl.client.auth': 'required',
      'listener.name.mutual.ssl.truststore.type': 'PEM',
      'listener.name.mutual.ssl.truststore.location': ours.ca,
      'listener.name.login.sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512',
      'listener.name.login.plain.sasl.jaas.config': `${plain} user_mner="${PASSWORD}";`,
      'listener.name.login.scram-sha-256.sasl.jaas.config': scram,
      'listener.name.login.scram-sha-512.sasl.jaas.config': scram,
      'listener.name.bearer.sasl.enabled.mechanisms': 'OAUTHBEARER',
      'listener.name.bearer.oauthbearer.sasl.jaas.config': `${bearer}.OAuthBearerLoginModule required;`,
      'listener.name.bearer.oauthbearer.sasl.server.callback.handler.class': `${bearer}.OAuthBearerValidatorCallbackHandler`,
      'listener.name.bearer.oauthbearer.sasl.oauthbearer.jwks.endpoint.url': jwksUrl,
      'listener.name.bearer.oauthbearer.sasl.oauthbearer.expected.audience': AUDIENCE,
      'listener.name.bearer.oauthbearer.sasl.oauthbearer.expected.issuer': ISSUER,
      'listener.name.bearer.oauthbearer.connections.max.reauth.ms': `${REAUTHENTICATE_MS}`,
      ...properties,
    },
  });
  return {
    kafka,
    authority: ours,
    client,
    at: (door) => kafka.listeners[door]?.[0] ?? '',
    async stop() {
      await kafka.stop();
      await ours.remove();
    },
  };
}

/** The password of the user `mner` at the door LOGIN, by PLAIN. */
export const PASSWORD = 'correct-horse';

async function keystores(doors: Partial<Record<Door, Issued>>): Promise<Record<string, string>> {
  const lines: Record<string, string> = {};
  for (const [door, { both }] of Object.entries(doors)) {
    await readFile(both);
    lines[`listener.name.${door.toLowerCase()}.ssl.keystore.type`] = 'PEM';
    lines[`listener.name.${door.toLowerCase()}.ssl.keystore.location`] = both;
  }
  return lines;
}
