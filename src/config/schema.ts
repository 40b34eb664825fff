import ipaddr from 'ipaddr.js';
import { z } from 'zod';
import { PROVIDERS } from '../inference/settings.js';
import { about } from './about.js';
import {
  filledText,
  HOUR_MS,
  hostPort,
  isProxyUrl,
  isRedisUrl,
  MiB,
  optionalFile,
  optionalTopic,
  topicField,
  WORD,
  word,
} from './shapes.js';

/** The one schema of the configuration: types, environment names, flags, help, JSON Schema and docs/configuration.md come from it. */
export const configSchema = z.strictObject({
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

  input_topic: topicField('tweets', 'Topic that tweets are read from.'),
  output_topic: topicField(
    'tweet-entities',
    'Topic that results are written to, one record per tweet. Restart all workers after adding partitions to it: the partition of a result is the input partition modulo their number.',
  ),
  dead_letter_topic: topicField('tweets.dead', 'Topic for records that cannot be processed, with their own bytes.'),
  mentions_topic: optionalTopic(
    'Second output, one record per mention with the entity as its key, for consumers that join by entity (`tweet-mentions` by custom). Doubles the records written.',
  ),
  replay_topic: optionalTopic(
    'Second input, for reading old tweets again: of each of its partitions at most 16 records are in work at once, so that it takes what the live stream leaves. Order holds per topic and partition.',
  ),

  delivery: z.enum(['at_least_once', 'exactly_once']).default('at_least_once').register(about, {
    section: 'Delivery',
    description:
      'What a reader of the output may rely on. `at_least_once` may repeat results after a crash; with `exactly_once` a reader of committed records (`isolation.level=read_committed`) sees one outcome of every record, whatever breaks, and sees it up to `commit_every_ms` later.',
    value: 'promise',
  }),
  transaction_timeout_ms: z.int().min(1000).max(900_000).default(20_000).register(about, {
    section: 'Delivery',
    description:
      'With `exactly_once`: time after which a broker aborts a transaction that nobody ends. Lower keeps readers of committed records waiting less after a crash; higher survives longer stalls of the brokers. At most their `transaction.max.timeout.ms`.',
    value: 'ms',
    unit: 'ms',
  }),
  drain_timeout_ms: z.int().min(0).max(HOUR_MS).default(20_000).register(about, {
    section: 'Delivery',
    description:
      'Time to finish what is in flight at a shutdown. Too short, and the next worker does the rest again; too long, and a rolling update is slow.',
    value: 'ms',
    unit: 'ms',
  }),
  commit_every_records: z.int().min(1).max(1_000_000).default(1000).register(about, {
    section: 'Delivery',
    description:
      'Acknowledged records after which offsets are committed; with `exactly_once`, the most in one transaction. Lower repeats less after a crash; higher asks less of the broker.',
    value: 'n',
    unit: 'records',
  }),
  commit_every_ms: z.int().min(10).max(60_000).default(500).register(about, {
    section: 'Delivery',
    description:
      'Time after which offsets are committed in any case. Lower repeats less after a crash; higher asks less of the broker.',
    value: 'ms',
    unit: 'ms',
  }),
  inflight_bytes: z
    .int()
    .min(64 * 1024)
    .max(4096 * MiB)
    .default(32 * MiB)
    .register(about, {
      section: 'Delivery',
      description:
        'Bytes of input in work at once; above it partitions are paused. Higher rides out uneven arrival, at the price of memory.',
      value: 'bytes',
      unit: 'bytes',
    }),
  output_compression: z.enum(['none', 'gzip', 'snappy', 'lz4']).default('none').register(about, {
    section: 'Delivery',
    description: 'Compression of what is written: `lz4` and `snappy` cost little, `gzip` saves most and costs most.',
    value: 'codec',
  }),

  image_allow: z
    .array(z.string().refine((entry) => ipaddr.isValidCIDR(entry) || hostPort.safeParse(entry).success))
    .default([])
    .register(about, {
      section: 'Pictures',
      description:
        'Private origins that may be fetched; none by default, so that a tweet cannot point the worker at your network. `host:port` lifts the address and the port rule for that origin, a CIDR the address rule only.',
      value: 'host:port|cidr,…',
      allowed: 'a list of host:port or CIDR, separated by commas',
    }),
  image_max_bytes: z
    .int()
    .min(1024)
    .max(64 * MiB)
    .default(8 * MiB)
    .register(about, {
      section: 'Pictures',
      description: 'Largest picture that is read; larger ones are cut off and the tweet is read as text.',
      value: 'bytes',
      unit: 'bytes',
    }),
  image_fetch_timeout_ms: z.int().min(50).max(60_000).default(5000).register(about, {
    section: 'Pictures',
    description:
      'Time for one fetch, with all its redirects. Lower keeps a slow origin from slowing tweets; higher loses fewer pictures.',
    value: 'ms',
    unit: 'ms',
  }),
  image_budget_ms: z.int().min(50).max(120_000).default(8000).register(about, {
    section: 'Pictures',
    description:
      'Time that a tweet waits for its picture in all: cache, queue, fetch, decoding and features. After it the tweet is read as text.',
    value: 'ms',
    unit: 'ms',
  }),
  image_ocr_timeout_ms: z.int().min(50).max(60_000).default(2000).register(about, {
    section: 'Pictures',
    description:
      'Time to read the words in one picture (`ocr`), and as much again to wait for its turn; past it the picture is used without its words. Lower keeps crowded pictures from holding others up; higher reads more of them.',
    value: 'ms',
    unit: 'ms',
  }),
  image_per_host: z.int().min(1).max(1024).default(16).register(about, {
    section: 'Pictures',
    description: 'Fetches from one host at once. Higher is faster, until the host answers 429.',
    value: 'n',
  }),
  image_rate_per_host: z.int().min(1).max(100_000).default(500).register(about, {
    section: 'Pictures',
    description:
      'Requests a second to one host, of each worker. Lower is kinder to small hosts; too low leaves pictures out as `rate_limited`.',
    value: 'n',
  }),
  image_host_pause_max_ms: z
    .int()
    .min(1000)
    .max(24 * HOUR_MS)
    .default(900_000)
    .register(about, {
      section: 'Pictures',
      description:
        'Longest time for which a host that answers 429 or 503 with `Retry-After` is left alone; its pictures are `rate_limited` until then.',
      value: 'ms',
      unit: 'ms',
    }),
  image_host_failures: z.int().min(1).max(10_000).default(10).register(about, {
    section: 'Pictures',
    description:
      'Failures in a row (no connection, no answer in time, 5xx) after which a host is left alone. Lower spares workers and hosts; higher forgives more.',
    value: 'n',
  }),
  image_host_retry_ms: z.int().min(100).max(HOUR_MS).default(30_000).register(about, {
    section: 'Pictures',
    description: 'Time after which a host that was left alone for its failures is tried again, with one request.',
    value: 'ms',
    unit: 'ms',
  }),
  image_proxy: z.string().refine(isProxyUrl).nullable().default(null).register(about, {
    section: 'Pictures',
    description:
      'Forward proxy that pictures are fetched through; the proxy variables of the environment are ignored. The proxy dials, so its own rules must keep strangers out of your network: this worker still refuses private addresses, names that mean a private network, and names that resolve here to a private address, but a name that resolves differently for the proxy gets through. Origins of `image_allow` by `host:port` are fetched directly.',
    value: 'url',
    allowed: 'a URL that begins with http:// or https://',
    off: 'none',
    secret: true,
  }),
  image_overload: z.enum(['wait', 'skip']).default('skip').register(about, {
    section: 'Pictures',
    description:
      'What happens to pictures that come faster than they can be fetched and read: `skip` sheds those beyond `image_waiting` at once, and their tweets are read as text (`skipped`); `wait` keeps every tweet waiting until `image_budget_ms` ends, which holds the stream up.',
    value: 'policy',
  }),
  image_waiting: z.int().min(0).max(1_000_000).default(1024).register(about, {
    section: 'Pictures',
    description:
      'Pictures that may wait to be fetched before `image_overload: skip` sheds more. Higher rides out bursts, at the price of tweets that wait longer.',
    value: 'n',
  }),

  redis_url: z.string().refine(isRedisUrl).nullable().default('redis://localhost:6379').register(about, {
    section: 'Cache',
    description:
      'Redis that the workers share pictures in: `redis://user:password@host:port/db`, `rediss://` with TLS. Sentinel and Cluster take several hosts, separated by commas. `none` runs without: every worker then fetches and looks at each picture itself.',
    value: 'url',
    allowed: 'a URL that begins with redis:// or rediss://',
    off: 'none',
    secret: true,
    alias: 'REDIS_URL',
  }),
  redis_mode: z.enum(['standalone', 'sentinel', 'cluster']).default('standalone').register(about, {
    section: 'Cache',
    description:
      'What answers at `redis_url`: Redis itself, Sentinels that know where the master is, or nodes of a Cluster.',
    value: 'mode',
  }),
  redis_sentinel_name: word.default('mymaster').register(about, {
    section: 'Cache',
    description: "The master's name with the Sentinels.",
    value: 'name',
    allowed: WORD,
  }),
  redis_sentinel_password: filledText.nullable().default(null).register(about, {
    section: 'Cache',
    description: "Password of the Sentinels themselves; that in `redis_url` is the master's.",
    value: 'password',
    allowed: 'a text that is not empty',
    secret: true,
  }),
  redis_ca_file: optionalFile('Certificate authority (PEM) that signs Redis; unset trusts those of Node.', 'Cache'),
  cache_ttl_seconds: z.int().min(1).max(31_536_000).default(604_800).register(about, {
    section: 'Cache',
    description: 'Life of a picture in Redis. Higher hits more often, at the price of Redis memory.',
    value: 's',
    unit: 's',
  }),
  cache_memory_bytes: z
    .int()
    .min(0)
    .max(4096 * MiB)
    .default(64 * MiB)
    .register(about, {
      section: 'Cache',
      description:
        'In-process cache in front of Redis; 0 turns it off. Higher saves round trips, at the price of memory.',
      value: 'bytes',
      unit: 'bytes',
    }),

  bundle: word.default('ham').register(about, {
    section: 'Model',
    description:
      'Model bundle: a family (`ham`: the variant that suits this machine) or one bundle exactly (`ham-int8`).',
    value: 'name',
    allowed: WORD,
  }),
  models_dir: filledText.default('models').register(about, {
    section: 'Model',
    description: 'Folder that holds the bundles.',
    value: 'dir',
    allowed: 'a folder',
    defaultText: 'the `models` folder of this installation',
  }),
  providers: z.array(z.enum(PROVIDERS)).min(1).default(['cpu']).register(about, {
    section: 'Model',
    description: 'Execution providers in the order in which they are tried; end with `cpu` to fall back on it.',
    value: 'name,…',
  }),
  threads: z.int().min(0).max(256).default(0).register(about, {
    section: 'Model',
    description:
      'Threads of the inference process; 0 takes one per core. Leave it a core when other work shares the machine.',
    value: 'n',
    defaultText: 'one per core',
  }),
  mentions: z.enum(['ignore', 'entity']).default('ignore').register(about, {
    section: 'Model',
    description: 'Whether `@name` may be an entity.',
    value: 'how',
  }),
  ocr: z.enum(['off', 'on']).default('off').register(about, {
    section: 'Model',
    description:
      'Reading the words in pictures, for models that read them too (`context` in the manifest of the bundle); with other models only `mner image` does. It costs a tenth to a whole second of one core for each new picture.',
    value: 'how',
  }),
  batch_tokens: z.int().min(256).max(65_536).default(1024).register(about, {
    section: 'Model',
    description:
      'Tokens of one inference call, padding included. Higher suits accelerators; on a CPU more than about 1024 adds waiting but no speed.',
    value: 'n',
    unit: 'tokens',
  }),
  batch_deadline_ms: z.int().min(0).max(10_000).default(20).register(about, {
    section: 'Model',
    description:
      'Longest time that a tweet waits for others to share its batch. Lower answers sooner; higher fills batches at low rates.',
    value: 'ms',
    unit: 'ms',
  }),

  http_host: z
    .string()
    .regex(/^[A-Za-z0-9._:-]+$/)
    .default('127.0.0.1')
    .register(about, {
      section: 'HTTP',
      description:
        'Address that the HTTP server binds to. `0.0.0.0` opens it to the network: needed in a container, and there is no login.',
      value: 'address',
      allowed: 'an address or a host name, without a port',
    }),
  http_port: z.int().min(0).max(65_535).default(8080).register(about, {
    section: 'HTTP',
    description: 'Port of the HTTP server; 0 takes any free one.',
    value: 'port',
  }),
  playground: z.boolean().default(false).register(about, {
    section: 'HTTP',
    description: 'Serves the playground page and `POST /v1/extract`, which share the model with the stream.',
    value: 'boolean',
  }),

  log_level: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info').register(about, {
    section: 'Logs',
    description: 'Least level that is written.',
    value: 'level',
  }),
  log_format: z.enum(['auto', 'json', 'pretty']).default('auto').register(about, {
    section: 'Logs',
    description: 'Form of the log lines on stderr; `auto` is `pretty` on a terminal and `json` elsewhere.',
    value: 'form',
  }),
});

/** The effective configuration: every key has a value. */
export type Config = z.output<typeof configSchema>;
export type ConfigKey = keyof Config;
