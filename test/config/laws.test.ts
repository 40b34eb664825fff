import { expect, test } from 'vitest';
import { brokenLaws, LAWS } from '#mner/config/laws.js';
import { loadConfig } from '#mner/config/load.js';
import type { Config } from '#mner/config/schema.js';

const { config } = loadConfig({ env: {} });

test('the defaults break no law', () => {
  expect(brokenLaws(config)).toEqual([]);
});

const cases: [Partial<Config>, string][] = [
  [
    { drain_timeout_ms: 30_000 },
    'drain_timeout_ms (30000) must be less than session_timeout_ms (30000), since the group would give the partitions to another worker while this one still drains them.',
  ],
  [
    { commit_every_ms: 60_000, inflight_age_ms: 90_000 },
    'commit_every_ms (60000) must be less than session_timeout_ms (30000), since a commit must come while the group still takes this worker for alive.',
  ],
  [
    { commit_every_ms: 20_000 },
    'commit_every_ms (20000) must be less than inflight_age_ms (15000), since a transaction gathers tweets for so long, which must not pause their partition.',
  ],
  [
    { batch_deadline_ms: 300, drain_timeout_ms: 200 },
    'batch_deadline_ms (300) must be less than drain_timeout_ms (200), since a drain must outlast the last batch.',
  ],
  [
    { image_fetch_timeout_ms: 9000 },
    'image_fetch_timeout_ms (9000) must not be more than image_budget_ms (8000), since no tweet would wait for the end of such a fetch.',
  ],
  [
    { output_topic: 'tweets' },
    'input_topic and output_topic must not both be "tweets", since the worker would read what it writes, or mix records of two kinds.',
  ],
  [
    { replay_topic: 'tweets.dead' },
    'dead_letter_topic and replay_topic must not both be "tweets.dead", since the worker would read what it writes, or mix records of two kinds.',
  ],
  [
    { image_missing: 'retry' },
    'image_missing must not be retry without retry_topic, since a tweet without its picture would have nowhere to wait.',
  ],
  [
    { kafka_sasl_mechanism: 'plain' },
    'kafka_sasl_mechanism must not be set without kafka_sasl_username and kafka_sasl_password, since one says nothing without the others.',
  ],
  [
    { kafka_sasl_username: 'mner' },
    'kafka_sasl_username must not be set without kafka_sasl_mechanism and kafka_sasl_password, since one says nothing without the others.',
  ],
  [
    { kafka_sasl_mechanism: 'oauthbearer', kafka_sasl_token_file: 't', kafka_sasl_username: 'mner' },
    'kafka_sasl_username must not be set while kafka_sasl_mechanism is oauthbearer, since one says nothing without the others.',
  ],
  [
    { kafka_sasl_mechanism: 'oauthbearer' },
    'kafka_sasl_mechanism must not be oauthbearer without kafka_sasl_token_file or kafka_sasl_token_url, since the token must come from one place.',
  ],
  [
    { kafka_sasl_token_file: 't' },
    'kafka_sasl_token_file must not be set unless kafka_sasl_mechanism is oauthbearer, since the token must come from one place.',
  ],
  [
    { kafka_sasl_mechanism: 'oauthbearer', kafka_sasl_token_url: 'https://login/', kafka_sasl_client_id: 'mner' },
    'kafka_sasl_token_url and kafka_sasl_client_id must not be set without kafka_sasl_client_secret, since the endpoint gives its tokens to clients that it knows.',
  ],
  [
    { redis_url: 'rediss://h', redis_key_file: 'k.pem' },
    'redis_key_file must not be set without redis_cert_file, since a certificate proves nothing without its key.',
  ],
  [
    { kafka_ssl: true, kafka_ssl_cert_file: 'c.pem' },
    'kafka_ssl_cert_file must not be set without kafka_ssl_key_file, since a certificate proves nothing without its key.',
  ],
  [
    { kafka_ssl_ca_file: 'ca.pem' },
    'kafka_ssl_ca_file must not be set while kafka_ssl is false, since the connection would not be encrypted, although a file for that is named.',
  ],
  [
    { redis_url: 'redis://:p,w@a:1,b:2/0' },
    'redis_mode must not be standalone with several hosts in redis_url, since only one of them would ever be asked.',
  ],
  [
    { redis_ca_file: 'ca.pem' },
    'redis_ca_file must not be set while redis_url begins with redis://, since the connection would not be encrypted, although a file for that is named.',
  ],
  [
    { delivery: 'exactly_once', transaction_timeout_ms: 30_000 },
    'transaction_timeout_ms (30000) must be less than session_timeout_ms (30000), since what a dead worker leaves open must be aborted by the time that another one takes over.',
  ],
  [
    { bundle: 'ham', canary_bundle: 'ham' },
    'bundle and canary_bundle must not both be "ham", since a canary is tried against another bundle.',
  ],
  [
    { ocr: 'on', image_ocr_timeout_ms: 8000 },
    'image_ocr_timeout_ms (8000) must be less than image_budget_ms (8000), since a tweet would lose its picture to the words in it.',
  ],
];

test.each(cases)('%o is refused with its reason', (change, message) => {
  expect(brokenLaws({ ...config, ...change })).toEqual([message]);
});

test('every law has a case above', () => {
  const reasons = cases.map(([, message]) => message);
  for (const { reason } of LAWS) expect(reasons.some((message) => message.includes(reason))).toBe(true);
});
