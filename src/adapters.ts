import { readTextFile } from './config/file.js';
import type { Config } from './config/schema.js';
import { layeredCache } from './image/cache/layered.js';
import { memoryCache } from './image/cache/memory.js';
import { redisCache } from './image/cache/redis.js';
import { addressPolicy } from './image/fetch/address.js';
import { httpOrigin } from './image/fetch/http.js';
import type { Cache, Origin } from './image/port.js';
import { kafkaBroker } from './stream/kafka/broker.js';
import type { Broker } from './stream/port.js';
import type { Emit } from './telemetry/events.js';

/** The real adapters of the ports, as the configuration wants them. */

/** @throws MnerError `bad_config` when a certificate cannot be read */
export function brokerOf(config: Config, emit: Emit): Broker {
  const { kafka_sasl_mechanism: mechanism, kafka_sasl_username: username, kafka_sasl_password: password } = config;
  return kafkaBroker({
    brokers: config.brokers,
    clientId: config.client_id,
    ssl: config.kafka_ssl && {
      ...pem('ca', config.kafka_ssl_ca_file),
      ...pem('cert', config.kafka_ssl_cert_file),
      ...pem('key', config.kafka_ssl_key_file),
    },
    ...(mechanism !== null && username !== null && password !== null
      ? { sasl: { mechanism, username, password } }
      : {}),
    compression: config.output_compression,
    emit,
  });
}

function pem(name: 'ca' | 'cert' | 'key', file: string | null): Partial<Record<'ca' | 'cert' | 'key', string>> {
  return file === null ? {} : { [name]: readTextFile(file, `kafka_ssl_${name}_file (${file})`) };
}

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
 * @throws MnerError `bad_config` when the certificate cannot be read
 */
export function redisOf(config: Config, url: string, emit: Emit): Cache {
  const { redis_mode: mode, redis_sentinel_name: sentinelName, redis_sentinel_password: sentinelPassword } = config;
  const file = config.redis_ca_file;
  const ca = file === null ? null : readTextFile(file, `redis_ca_file (${file})`);
  return redisCache({ url, mode, sentinelName, sentinelPassword, ca, emit });
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
