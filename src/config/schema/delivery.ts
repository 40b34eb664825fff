import { z } from 'zod';
import { about } from '../about.js';
import { HOUR_MS, MiB } from '../shapes.js';

/** What readers of the output may rely on, and how much is in work at once. */
export const deliveryFields = {
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
      'Time to finish what is in flight at a shutdown; when half of it is over, what no batch has yet is left to the next worker. Too short, and the next worker does the rest again; too long, and a rolling update is slow.',
    value: 'ms',
    unit: 'ms',
  }),
  retry_timeout_ms: z.int().min(100).max(HOUR_MS).default(60_000).register(about, {
    section: 'Delivery',
    description:
      'Time for which what failed for now is tried again in place, with growing waits. After it a record that is at fault goes to the retry topic or becomes a dead letter; where Kafka is at fault, the partition is paused and tried on. Lower moves on sooner; higher survives longer failures without either.',
    value: 'ms',
    unit: 'ms',
  }),
  retry_delay_ms: z
    .int()
    .min(100)
    .max(24 * HOUR_MS)
    .default(60_000)
    .register(about, {
      section: 'Delivery',
      description: 'Time that a record waits in `retry_topic` before it is tried again.',
      value: 'ms',
      unit: 'ms',
    }),
  retry_attempts: z.int().min(2).max(100).default(3).register(about, {
    section: 'Delivery',
    description: 'How often a record is tried in all where there is a `retry_topic`; then it is a dead letter.',
    value: 'n',
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
      'Time after which offsets are committed in any case; with `exactly_once` a partition that has nothing left to finish commits at once, but not twice within half of it. Lower repeats less after a crash; higher asks less of the broker.',
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
  inflight_age_ms: z.int().min(1000).max(HOUR_MS).default(15_000).register(about, {
    section: 'Delivery',
    description:
      'Age, since it was read, at which the oldest tweet in work pauses its partition; it is read on at half of that. Lower hoards less in front of a slow model; higher rides out longer stalls.',
    value: 'ms',
    unit: 'ms',
  }),
  output_compression: z.enum(['none', 'gzip', 'snappy', 'lz4']).default('none').register(about, {
    section: 'Delivery',
    description: 'Compression of what is written: `lz4` and `snappy` cost little, `gzip` saves most and costs most.',
    value: 'codec',
  }),
};
