import { z } from 'zod';
import { about } from '../about.js';
import { filledText, HOUR_MS, hostPort, isHttpUrl, optionalFile, WORD, word } from '../shapes.js';

/** The connection to Kafka, and the group that the workers form. */
export const kafkaFields = {
  brokers: z.array(hostPort).min(1).default(['localhost:9092']).register(about, {
    section: 'Kafka',
    description: 'Kafka brokers to start from; one that answers is enough, two or three survive the loss of one.',
    value: 'host:port,…',
    allowed: 'a list of host:port, separated by commas',
    alias: 'KAFKA_BROKERS',
  }),
  client_id: word.default('mner').register(about, {
    section: 'Kafka',
    description: 'Name of this client in the logs and quotas of the brokers.',
    value: 'name',
    allowed: WORD,
  }),
  group: word.default('mner').register(about, {
    section: 'Kafka',
    description: 'Consumer group. Workers of one group share the partitions; a new name reads the input again.',
    value: 'name',
    allowed: WORD,
  }),
  start_from: z.enum(['earliest', 'latest']).default('earliest').register(about, {
    section: 'Kafka',
    description:
      'Where a group without committed offsets begins: `earliest` reads all that the topic still holds, `latest` only what comes.',
    value: 'where',
  }),
  offset_out_of_range: z.enum(['earliest', 'latest', 'fail']).default('earliest').register(about, {
    section: 'Kafka',
    description:
      'What to do when the input no longer has the offset that the group has come to, since retention was faster or the topic was made anew: go on at the oldest record that is left, at the end (which leaves the rest unread), or `fail`, so that somebody looks. Each time is an error in the log and counts in `mner_offset_resets_total`.',
    value: 'what',
  }),
  session_timeout_ms: z.int().min(1000).max(HOUR_MS).default(30_000).register(about, {
    section: 'Kafka',
    description:
      'Silence after which the group takes a worker for dead. Lower moves the partitions of a crashed worker sooner; higher survives longer stalls without a rebalance.',
    value: 'ms',
    unit: 'ms',
  }),
  kafka_ssl: z.boolean().default(false).register(about, {
    section: 'Kafka',
    description: 'Speaks TLS to the brokers.',
    value: 'boolean',
  }),
  kafka_ssl_ca_file: optionalFile('Certificate authority (PEM) that signs the brokers; unset trusts those of Node.'),
  kafka_ssl_cert_file: optionalFile(
    'Client certificate (PEM), for brokers that ask for one. It, its key and the authority may be replaced at any time: each new connection is made with what the files hold then.',
  ),
  kafka_ssl_key_file: optionalFile('Key (PEM, without a passphrase) of the client certificate.'),
  kafka_sasl_mechanism: z
    .enum(['plain', 'scram-sha-256', 'scram-sha-512', 'oauthbearer'])
    .nullable()
    .default(null)
    .register(about, {
      section: 'Kafka',
      description:
        'How to authenticate. `plain` sends the password, and `oauthbearer` the token, as it is, so use them with `kafka_ssl` only.',
      value: 'mechanism',
      off: 'none',
    }),
  kafka_sasl_username: filledText.nullable().default(null).register(about, {
    section: 'Kafka',
    description: 'User of `plain` and `scram-…`.',
    value: 'user',
    allowed: 'a text that is not empty',
  }),
  kafka_sasl_password: filledText.nullable().default(null).register(about, {
    section: 'Kafka',
    description:
      'Password of `plain` and `scram-…`. A flag shows it to everyone on the machine: prefer the file, which may be replaced at any time.',
    value: 'password',
    allowed: 'a text that is not empty',
    secret: true,
  }),
  kafka_sasl_token_file: optionalFile(
    'Token (JWT) of `oauthbearer`, from a file that somebody else keeps fresh, as Kubernetes does.',
  ),
  kafka_sasl_token_url: z.string().refine(isHttpUrl).nullable().default(null).register(about, {
    section: 'Kafka',
    description:
      'Endpoint that gives tokens of `oauthbearer` by the grant of client credentials. A token is kept until shortly before it ends.',
    value: 'url',
    allowed:
      'a URL that begins with https:// (or http://, which shows the secret to the network), without a user in it',
    // Some servers take a key in its query.
    secret: true,
  }),
  kafka_sasl_client_id: filledText.nullable().default(null).register(about, {
    section: 'Kafka',
    description: 'Client that asks `kafka_sasl_token_url` for tokens.',
    value: 'id',
    allowed: 'a text that is not empty',
  }),
  kafka_sasl_client_secret: filledText.nullable().default(null).register(about, {
    section: 'Kafka',
    description: 'Secret of that client. Its file may be replaced at any time.',
    value: 'secret',
    allowed: 'a text that is not empty',
    secret: true,
  }),
  kafka_sasl_scope: filledText.nullable().default(null).register(about, {
    section: 'Kafka',
    description: 'Scope of the tokens; unset takes what the endpoint gives by itself.',
    value: 'scope',
    allowed: 'names, separated by spaces',
  }),
};
