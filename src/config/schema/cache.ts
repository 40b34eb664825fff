import { z } from 'zod';
import { about } from '../about.js';
import { filledText, isRedisUrl, MiB, optionalFile, WORD, word } from '../shapes.js';

/** What the workers remember of pictures, and for how long. */
export const cacheFields = {
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
  redis_timeout_ms: z.int().min(1).max(10_000).default(50).register(about, {
    section: 'Cache',
    description:
      'How long one trip to Redis may take; what is not answered by then counts as not remembered, and the worker goes on. Higher suits a Redis far away, at the price of tweets that wait for it when it hangs.',
    value: 'ms',
    unit: 'ms',
  }),
  redis_ca_file: optionalFile('Certificate authority (PEM) that signs Redis; unset trusts those of Node.', 'Cache'),
  redis_cert_file: optionalFile(
    'Client certificate (PEM), for a Redis that asks for one (`tls-auth-clients`).',
    'Cache',
  ),
  redis_key_file: optionalFile('Key (PEM) of that client certificate.', 'Cache'),
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
};
