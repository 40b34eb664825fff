import ipaddr from 'ipaddr.js';
import { z } from 'zod';
import { about } from '../about.js';
import { HOUR_MS, hostPort, isProxyUrl, MiB } from '../shapes.js';

/** Which pictures are fetched, and how patiently. */
export const picturesFields = {
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
      'Time that a picture waits for the words in it (`ocr`): for its turn, the start of the engine and the reading; past it the picture is used without its words. Lower keeps crowded pictures from holding others up; higher reads more of them.',
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
  image_missing: z.enum(['text', 'retry']).default('text').register(about, {
    section: 'Pictures',
    description:
      'What becomes of a tweet whose picture cannot be had for now (`unreachable`, `timed_out`, `rate_limited`): `text` reads it without, at once; `retry` puts it off by way of `retry_topic`, and reads it without the last time.',
    value: 'policy',
  }),
  image_overload: z.enum(['wait', 'skip']).default('skip').register(about, {
    section: 'Pictures',
    description:
      'What happens to pictures that come faster than they can be fetched and read: `skip` sheds those beyond `image_waiting` at once, and their tweets are read as text (`skipped`); `wait` keeps every tweet waiting until `image_budget_ms` ends, which holds the stream up.',
    value: 'policy',
  }),
  image_waiting: z.int().min(0).max(1_000_000).default(512).register(about, {
    section: 'Pictures',
    description:
      'Pictures that may wait to be fetched before `image_overload: skip` sheds more. Higher rides out bursts, at the price of tweets that wait longer; a worker has 1024 live tweets in process at once, so from about a thousand on nothing is shed.',
    value: 'n',
  }),
};
