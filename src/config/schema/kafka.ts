import { z } from 'zod';
import { about } from '../about.js';
import { filledText, HOUR_MS, hostPort, optionalFile, WORD, word } from '../shapes.js';

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
  kafka_ssl_cert_file: optionalFile('Client certificate (PEM), for brokers that ask for one.'),
  kafka_ssl_key_file: optionalFile('Key (PEM) of the client certificate.'),
  kafka_sasl_mechanism: z.enum(['plain', 'scram-sha-256', 'scram-sha-512']).nullable().default(null).register(about, {
    section: 'Kafka',
    description: 'How to authenticate. `plain` sends the password as it is, so use it with `kafka_ssl` only.',
    value: 'mechanism',
    off: 'none',
  }),
  kafka_sasl_username: filledText.nullable().default(null).register(about, {
    section: 'Kafka',
    description: 'User of the SASL mechanism.',
    value: 'user',
    allowed: 'a text that is not empty',
  }),
  kafka_sasl_password: filledText.nullable().default(null).register(about, {
    section: 'Kafka',
    description: 'Password of the SASL mechanism. A flag shows it to everyone on the machine: prefer the file.',
    value: 'password',
    allowed: 'a text that is not empty',
    secret: true,
  }),
};
