import type { Config } from './schema.js';

/** A rule that no single field can break. */
export interface Law {
  /** In short, for the reference page. */
  readonly rule: string;
  /** Goes on after "since". */
  readonly reason: string;
  /** What is wrong, naming fields and values; undefined when the law holds. */
  readonly broken: (config: Config) => string | undefined;
}

type NumberKey = { [K in keyof Config]: Config[K] extends number ? K : never }[keyof Config];

export const LAWS: readonly Law[] = [
  less(
    'drain_timeout_ms',
    'session_timeout_ms',
    'the group would give the partitions to another worker while this one still drains them',
  ),
  less('commit_every_ms', 'session_timeout_ms', 'a commit must come while the group still takes this worker for alive'),
  less(
    'commit_every_ms',
    'inflight_age_ms',
    'a transaction gathers tweets for so long, which must not pause their partition',
  ),
  less('batch_deadline_ms', 'drain_timeout_ms', 'a drain must outlast the last batch'),
  {
    rule: '`image_fetch_timeout_ms` ≤ `image_budget_ms`',
    reason: 'no tweet would wait for the end of such a fetch',
    broken: ({ image_fetch_timeout_ms: fetch, image_budget_ms: budget }) =>
      fetch > budget
        ? `image_fetch_timeout_ms (${fetch}) must not be more than image_budget_ms (${budget})`
        : undefined,
  },
  {
    rule: '`image_ocr_timeout_ms` < `image_budget_ms`, where `ocr` is `on`',
    reason: 'a tweet would lose its picture to the words in it',
    broken: ({ ocr, image_ocr_timeout_ms: words, image_budget_ms: budget }) =>
      ocr === 'on' && words >= budget
        ? `image_ocr_timeout_ms (${words}) must be less than image_budget_ms (${budget})`
        : undefined,
  },
  {
    rule: '`canary_bundle` is not `bundle`',
    reason: 'a canary is tried against another bundle',
    broken: ({ bundle, canary_bundle: canary }) =>
      bundle === canary ? `bundle and canary_bundle must not both be "${bundle}"` : undefined,
  },
  {
    rule: 'No two topics have one name',
    reason: 'the worker would read what it writes, or mix records of two kinds',
    broken: sameTopic,
  },
  {
    rule: '`kafka_sasl_username` and `kafka_sasl_password` are set with the mechanisms that take them, and only then',
    reason: 'one says nothing without the others',
    broken: (config) => {
      const keys = ['kafka_sasl_username', 'kafka_sasl_password'] as const;
      const { kafka_sasl_mechanism: mechanism } = config;
      const [set, missing] = [keys.filter((key) => config[key] !== null), keys.filter((key) => config[key] === null)];
      if (mechanism === null && set.length > 0)
        return `${and(set)} must not be set without ${and(['kafka_sasl_mechanism', ...missing])}`;
      if (mechanism === 'oauthbearer' && set.length > 0)
        return `${and(set)} must not be set while kafka_sasl_mechanism is oauthbearer`;
      return mechanism !== null && mechanism !== 'oauthbearer' && missing.length > 0
        ? `${and(['kafka_sasl_mechanism', ...set])} must not be set without ${and(missing)}`
        : undefined;
    },
  },
  {
    rule: '`image_missing` `retry` needs `retry_topic`',
    reason: 'a tweet without its picture would have nowhere to wait',
    broken: ({ image_missing: missing, retry_topic: topic }) =>
      missing === 'retry' && topic === null ? 'image_missing must not be retry without retry_topic' : undefined,
  },
  {
    rule: '`kafka_sasl_mechanism` `oauthbearer` goes with one of `kafka_sasl_token_file` and `kafka_sasl_token_url`, and they with it',
    reason: 'the token must come from one place',
    broken: (config) => {
      const set = (['kafka_sasl_token_file', 'kafka_sasl_token_url'] as const).filter((key) => config[key] !== null);
      if (set.length > 1) return `${and(set)} must not both be set`;
      const bearer = config.kafka_sasl_mechanism === 'oauthbearer';
      if (bearer && set.length === 0)
        return 'kafka_sasl_mechanism must not be oauthbearer without kafka_sasl_token_file or kafka_sasl_token_url';
      return !bearer && set.length > 0
        ? `${and(set)} must not be set unless kafka_sasl_mechanism is oauthbearer`
        : undefined;
    },
  },
  {
    rule: '`kafka_sasl_token_url`, `kafka_sasl_client_id` and `kafka_sasl_client_secret` are set together, and `kafka_sasl_scope` only with them',
    reason: 'the endpoint gives its tokens to clients that it knows',
    broken: (config) => {
      const keys = ['kafka_sasl_token_url', 'kafka_sasl_client_id', 'kafka_sasl_client_secret'] as const;
      const missing = keys.filter((key) => config[key] === null);
      const set = [...keys, 'kafka_sasl_scope' as const].filter((key) => config[key] !== null);
      return set.length > 0 && missing.length > 0 ? `${and(set)} must not be set without ${and(missing)}` : undefined;
    },
  },
  certificateWithKey('kafka_ssl_cert_file', 'kafka_ssl_key_file'),
  certificateWithKey('redis_cert_file', 'redis_key_file'),
  {
    rule: 'The TLS files need `kafka_ssl`',
    reason: 'the connection would not be encrypted, although a file for that is named',
    broken: (config) => {
      const named = (['kafka_ssl_ca_file', 'kafka_ssl_cert_file', 'kafka_ssl_key_file'] as const).find(
        (key) => config[key] !== null,
      );
      return named !== undefined && !config.kafka_ssl ? `${named} must not be set while kafka_ssl is false` : undefined;
    },
  },
  {
    rule: 'Several hosts in `redis_url` need `redis_mode` `sentinel` or `cluster`',
    reason: 'only one of them would ever be asked',
    broken: ({ redis_url: url, redis_mode: mode }) =>
      mode === 'standalone' && url !== null && /,[^@]*$/.test(url)
        ? 'redis_mode must not be standalone with several hosts in redis_url'
        : undefined,
  },
  {
    rule: '`redis_ca_file`, `redis_cert_file` and `redis_key_file` need `rediss://` in `redis_url`',
    reason: 'the connection would not be encrypted, although a file for that is named',
    broken: (config) => {
      const { redis_url: url } = config;
      const set = (['redis_ca_file', 'redis_cert_file', 'redis_key_file'] as const).filter(
        (key) => config[key] !== null,
      );
      return set.length > 0 && url !== null && !url.startsWith('rediss://')
        ? `${and(set)} must not be set while redis_url begins with redis://`
        : undefined;
    },
  },
  {
    rule: '`transaction_timeout_ms` < `session_timeout_ms` with `delivery` `exactly_once`',
    reason: 'what a dead worker leaves open must be aborted by the time that another one takes over',
    broken: ({ delivery, transaction_timeout_ms: transaction, session_timeout_ms: session }) =>
      delivery === 'exactly_once' && transaction >= session
        ? `transaction_timeout_ms (${transaction}) must be less than session_timeout_ms (${session})`
        : undefined,
  },
];

/** One sentence for each law that the configuration breaks. */
export function brokenLaws(config: Config): string[] {
  return LAWS.flatMap((law) => {
    const broken = law.broken(config);
    return broken === undefined ? [] : [`${broken}, since ${law.reason}.`];
  });
}

function less(small: NumberKey, large: NumberKey, reason: string): Law {
  return {
    rule: `\`${small}\` < \`${large}\``,
    reason,
    broken: (config) =>
      config[small] < config[large]
        ? undefined
        : `${small} (${config[small]}) must be less than ${large} (${config[large]})`,
  };
}

function certificateWithKey(
  cert: 'kafka_ssl_cert_file' | 'redis_cert_file',
  key: 'kafka_ssl_key_file' | 'redis_key_file',
): Law {
  return {
    rule: `\`${cert}\` and \`${key}\` are set together`,
    reason: 'a certificate proves nothing without its key',
    broken: (config) => {
      if ((config[cert] === null) === (config[key] === null)) return undefined;
      return config[cert] === null
        ? `${key} must not be set without ${cert}`
        : `${cert} must not be set without ${key}`;
    },
  };
}

function sameTopic(config: Config): string | undefined {
  const keys = [
    'input_topic',
    'output_topic',
    'dead_letter_topic',
    'mentions_topic',
    'replay_topic',
    'retry_topic',
  ] as const;
  const taken = new Map<string, string>();
  for (const key of keys) {
    const name = config[key];
    if (name === null) continue;
    const other = taken.get(name);
    if (other !== undefined) return `${other} and ${key} must not both be "${name}"`;
    taken.set(name, key);
  }
  return undefined;
}

function and(names: readonly string[]): string {
  return names.join(' and ');
}
