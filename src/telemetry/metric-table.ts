import { ERRORS, type ErrorCode } from '../errors.js';
import { IMAGE_STATUSES, STAGES } from './events.js';

/** One metric: the table below drives registration and docs/metrics.md. */
export interface MetricRow {
  readonly name: `mner_${string}`;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  /** The values of each label, or, in words, what bounds them. */
  readonly labels?: Readonly<Record<string, readonly string[] | string>>;
  readonly buckets?: readonly number[];
}

/** Only a record that is itself at fault becomes a dead letter. */
const POISON = (Object.keys(ERRORS) as ErrorCode[]).filter((code) => ERRORS[code].class === 'poison');

/** Statuses of a picture that no fetch ends with. */
const NOT_FETCHED: ReadonlySet<string> = new Set(['used', 'none', 'skipped']);

const LANE = { topic: 'the input topics', partition: 'the partitions that this worker holds' };

/** `bundle` and `canary_bundle`. */
const BUNDLES = 'the bundles that read tweets';

export const METRICS = {
  tweets: {
    name: 'mner_tweets_total',
    type: 'counter',
    help: 'Input records with an acknowledged outcome; `retry` went to the retry topic, and comes once more.',
    labels: { outcome: ['output', 'dead_letter', 'tombstone', 'retry'] },
  },
  deadLetters: {
    name: 'mner_dead_letters_total',
    type: 'counter',
    help: 'Dead letters by error code (docs/errors.md).',
    labels: { code: [...POISON, 'internal'] },
  },
  entities: {
    name: 'mner_entities_total',
    type: 'counter',
    help: 'Entities found, by type.',
    labels: { type: 'the types of the model bundle; beyond 16 `other`' },
  },
  endToEnd: {
    name: 'mner_end_to_end_seconds',
    type: 'histogram',
    help: "From the input record's timestamp to the acknowledged outcome.",
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800],
  },
  stage: {
    name: 'mner_stage_seconds',
    type: 'histogram',
    help: 'Time in each stage of the pipeline.',
    labels: { stage: STAGES },
    buckets: [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
  },
  batchTweets: {
    name: 'mner_batch_tweets',
    type: 'histogram',
    help: 'Tweets in one inference call.',
    buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256],
  },
  batchTokens: {
    name: 'mner_batch_tokens',
    type: 'histogram',
    help: 'Tokens in one inference call, without padding.',
    buckets: [32, 64, 128, 256, 512, 768, 1024, 2048, 4096, 16384, 65536],
  },
  batchPadding: {
    name: 'mner_batch_padding_ratio',
    type: 'histogram',
    help: 'Share of padding among the tokens of one inference call.',
    buckets: [0.01, 0.02, 0.04, 0.08, 0.12, 0.16, 0.25, 0.5, 1],
  },
  batchRetries: {
    name: 'mner_batch_retries_total',
    type: 'counter',
    help: 'Inference calls that failed and were run again: `whole` a second time, then `bisected` until the row at fault stands alone.',
    labels: { how: ['whole', 'bisected'] },
  },
  queued: { name: 'mner_queued_tweets', type: 'gauge', help: 'Tweets that wait for a batch.' },
  inflight: { name: 'mner_inflight_bytes', type: 'gauge', help: 'Bytes of input in work.' },
  imageCache: {
    name: 'mner_image_cache_requests_total',
    type: 'counter',
    help: 'Questions to the picture cache, by result; `negative` is a remembered failure.',
    labels: { result: ['hit', 'miss', 'negative', 'corrupt', 'error'] },
  },
  images: {
    name: 'mner_images_total',
    type: 'counter',
    help: 'Tweets with a picture, by what became of it (docs/pictures.md); `skipped` was shed under overload, or left because the model reads no pictures or its process is away.',
    labels: { status: [...IMAGE_STATUSES.filter((status) => status !== 'none'), 'other'] },
  },
  imageFetches: {
    name: 'mner_image_fetches_total',
    type: 'counter',
    help: 'Fetches of pictures, by outcome.',
    labels: { outcome: ['ok', ...IMAGE_STATUSES.filter((status) => !NOT_FETCHED.has(status)), 'other'] },
  },
  photosLeft: {
    name: 'mner_photos_left_total',
    type: 'counter',
    help: 'Photos that were not looked at, since another one of their tweet counts.',
  },
  imageHostPauses: {
    name: 'mner_image_host_pauses_total',
    type: 'counter',
    help: 'Hosts of pictures that were left alone for a while: they asked for that (`retry_after`), or failed again and again.',
    labels: { reason: ['retry_after', 'failing'] },
  },
  imageWords: {
    name: 'mner_image_words_total',
    type: 'counter',
    help: 'Pictures whose words were asked for (`ocr`): found, none there, taken too long, `skipped` for lack of time, or the engine failed.',
    labels: { result: ['found', 'none', 'timed_out', 'skipped', 'failed'] },
  },
  repeats: {
    name: 'mner_repeats_total',
    type: 'counter',
    help: 'Texts with their pictures, as they came up for reading: read by the model, joined to the same in flight, or remembered (`repeat_cache_bytes`).',
    labels: { result: ['computed', 'shared', 'remembered'] },
  },
  relevance: {
    name: 'mner_image_relevance',
    type: 'histogram',
    help: 'Relevance that the gate gave to pictures.',
    buckets: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1],
  },
  bundleTweets: {
    name: 'mner_bundle_tweets_total',
    type: 'counter',
    help: 'Tweets by the bundle that read them, or that could not (`poison`): a canary beside what it is tried against.',
    labels: { bundle: BUNDLES, result: ['read', 'poison'] },
  },
  bundleEntities: {
    name: 'mner_bundle_entities_total',
    type: 'counter',
    help: 'Entities by the bundle that found them.',
    labels: { bundle: BUNDLES, type: 'the types of the model bundle; beyond 16 `other`' },
  },
  bundleRelevance: {
    name: 'mner_bundle_relevance',
    type: 'histogram',
    help: 'Relevance that the gate of each bundle gave to pictures.',
    labels: { bundle: BUNDLES },
    buckets: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1],
  },
  bundleInference: {
    name: 'mner_bundle_inference_seconds',
    type: 'histogram',
    help: 'Time of one batch by bundle, from when its process comes to it.',
    labels: { bundle: BUNDLES },
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
  },
  reloads: {
    name: 'mner_reloads_total',
    type: 'counter',
    help: 'Reloads of the bundles: a new one took over, nothing had changed, or it `failed` and everything stayed as it was.',
    labels: { result: ['done', 'unchanged', 'failed'] },
  },
  oldest: {
    name: 'mner_oldest_unprocessed_seconds',
    type: 'gauge',
    help: 'Age of the oldest record without an acknowledged outcome; 0 when there is none.',
    labels: LANE,
  },
  lag: {
    name: 'mner_lag_records',
    type: 'gauge',
    help: 'Records between the last acknowledged one and the end of the partition as it stood when records last came; it stands still while the partition is paused.',
    labels: LANE,
  },
  paused: {
    name: 'mner_paused_partitions',
    type: 'gauge',
    help: 'Partitions that are paused by back-pressure: all of them by bytes, some by age.',
  },
  rebalances: { name: 'mner_rebalances_total', type: 'counter', help: 'Rebalances of the group that this worker saw.' },
  offsetResets: {
    name: 'mner_offset_resets_total',
    type: 'counter',
    help: 'Partitions that were read on elsewhere, since the input no longer had their next offset (`offset_out_of_range`); records are lost where retention was faster.',
    labels: { to: ['earliest', 'latest'] },
  },
  transactions: {
    name: 'mner_transactions_total',
    type: 'counter',
    help: 'Transactions by result; `unknown` when the broker did not answer the end of one. Stays 0 with at-least-once delivery.',
    labels: { result: ['committed', 'aborted', 'unknown'] },
  },
  inferenceRestarts: {
    name: 'mner_inference_restarts_total',
    type: 'counter',
    help: 'Restarts of inference processes.',
  },
  decoderEnds: {
    name: 'mner_image_decoder_ends_total',
    type: 'counter',
    help: 'Decoding processes that crashed, or were killed because a picture took too long or too much memory.',
    labels: { reason: ['crashed', 'timed_out', 'memory'] },
  },
  degraded: {
    name: 'mner_degraded',
    type: 'gauge',
    help: '1 while the worker goes on without a part that failed.',
    labels: { reason: ['cache', 'provider', 'pictures', 'delivery', 'reload'] },
  },
  model: {
    name: 'mner_model_info',
    type: 'gauge',
    help: '1 for each model bundle in use, by the execution provider that it runs on; the series of one that is not any more is gone.',
    labels: { bundle: 'the bundles in use', version: 'of the bundle', provider: 'of its process' },
  },
} as const satisfies Record<string, MetricRow>;

/** The page docs/metrics.md. */
export function metricsMarkdown(): string {
  const rows: MetricRow[] = Object.values(METRICS);
  const lines = rows.map((row) => {
    const labels = Object.entries(row.labels ?? {}).map(
      ([label, values]) => `\`${label}\`: ${typeof values === 'string' ? values : values.join(', ')}`,
    );
    return `| \`${row.name}\` | ${row.type} | ${labels.join('; ')} | ${row.help} |`;
  });
  return `# Metrics

This page is made from \`src/telemetry/metric-table.ts\`. \`GET /metrics\` serves them in the text format of Prometheus, with those of Node
itself (\`process_…\`, \`nodejs_…\`). Times are seconds, sizes bytes. Every label is bounded; none holds a text, a URL or an id.

| name | type | labels | meaning |
|---|---|---|---|
${lines.join('\n')}
`;
}
