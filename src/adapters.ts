import { secretFile } from './config/load.js';
import type { Config } from './config/schema.js';
import { certificates, type PemFile } from './credentials/certificates.js';
import { rotating } from './credentials/rotating.js';
import { readSecretFile } from './credentials/text-file.js';
import { type TokenSource, tokenEndpoint, tokenFile } from './credentials/token.js';
import { layeredCache } from './image/cache/layered.js';
import { memoryCache } from './image/cache/memory.js';
import { redisCache } from './image/cache/redis.js';
import { addressPolicy } from './image/fetch/address.js';
import { httpOrigin } from './image/fetch/http.js';
import type { Cache, Origin } from './image/port.js';
import { type KafkaOptions, kafkaBroker } from './stream/kafka/broker.js';
import type { Broker } from './stream/port.js';
import type { Emit } from './telemetry/events.js';

/** The real adapters of the ports, as the configuration wants them. */

/** @throws MnerError `bad_config` when a certificate or a token cannot be read */
export function brokerOf(config: Config, emit: Emit): Broker {
  const tls = config.kafka_ssl
    ? certificates(
        {
          ca: pem('kafka_ssl_ca_file', config),
          cert: pem('kafka_ssl_cert_file', config),
          key: pem('kafka_ssl_key_file', config),
        },
        emit,
      )
    : undefined;
  const sasl = saslOf(config, emit);
  return kafkaBroker({
    brokers: config.brokers,
    clientId: config.client_id,
    ...(tls && { tls }),
    ...(sasl && { sasl }),
    compression: config.output_compression,
    emit,
  });
}

function saslOf(config: Config, emit: Emit): KafkaOptions['sasl'] {
  const { kafka_sasl_mechanism: mechanism, kafka_sasl_username: username } = config;
  if (mechanism === null) return undefined;
  if (mechanism === 'oauthbearer') return { mechanism, token: tokenOf(config, emit) };
  return { mechanism, username: username ?? '', password: secretOf('kafka_sasl_password', config, emit) };
}

function tokenOf(config: Config, emit: Emit): TokenSource {
  const { kafka_sasl_token_file: file, kafka_sasl_token_url: url } = config;
  if (file !== null) return tokenFile(file, 'kafka_sasl_token_file', emit);
  return tokenEndpoint({
    url: url ?? '',
    clientId: config.kafka_sasl_client_id ?? '',
    clientSecret: secretOf('kafka_sasl_client_secret', config, emit),
    scope: config.kafka_sasl_scope ?? undefined,
  });
}

/** A secret as its file holds it now, where it came from one. */
function secretOf(key: 'kafka_sasl_password' | 'kafka_sasl_client_secret', config: Config, emit: Emit): () => string {
  const [value, file] = [config[key] ?? '', secretFile(config, key)];
  if (file === undefined) return () => value;
  return rotating([file], () => readSecretFile(file, `${key}_file (${file})`), emit);
}

function pem(setting: FileKey, config: Config): PemFile | undefined {
  const path = config[setting];
  return path === null ? undefined : { path, setting };
}

type FileKey = `kafka_ssl_${'ca' | 'cert' | 'key'}_file` | `redis_${'ca' | 'cert' | 'key'}_file`;

/** Redis with a small cache of this process in front; without Redis each worker remembers what it has seen itself. */
export function cacheOf(config: Config, emit: Emit): Cache {
  const maxBytes = config.cache_memory_bytes;
  if (config.redis_url === null) return memoryCache({ maxBytes: Math.max(1, maxBytes) });
  const redis = redisOf(config, config.redis_url, emit);
  return maxBytes === 0 ? redis : layeredCache(memoryCache({ maxBytes }), redis);
}

/**
 * Redis alone, as `mner check` asks it.
 *
 * @throws MnerError `bad_config` when a certificate cannot be read
 */
export function redisOf(config: Config, url: string, emit: Emit): Cache {
  const { redis_mode: mode, redis_sentinel_name: sentinelName, redis_sentinel_password: sentinelPassword } = config;
  const files = {
    ca: pem('redis_ca_file', config),
    cert: pem('redis_cert_file', config),
    key: pem('redis_key_file', config),
  };
  const tls = url.startsWith('rediss://') ? certificates(files, emit) : undefined;
  return redisCache({
    url,
    mode,
    sentinelName,
    sentinelPassword,
    commandTimeoutMs: config.redis_timeout_ms,
    ...(tls && { tls }),
    emit,
  });
}

export function originOf(config: Config, emit: Emit): Origin {
  return httpOrigin({
    policy: addressPolicy({ allow: config.image_allow }),
    deadlineMs: config.image_fetch_timeout_ms,
    maxBytes: config.image_max_bytes,
    maxPauseMs: config.image_host_pause_max_ms,
    hosts: {
      perHost: config.image_per_host,
      ratePerHost: config.image_rate_per_host,
      circuitFailures: config.image_host_failures,
      circuitPauseMs: config.image_host_retry_ms,
    },
    ...(config.image_proxy !== null && { proxy: new URL(config.image_proxy) }),
    emit,
  });
}
