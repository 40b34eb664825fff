import { describe, expect, test } from 'vitest';
import { ERRORS } from '#mner/errors.js';
import { type Event, IMAGE_STATUSES, STAGES } from '#mner/telemetry/events.js';
import { METRICS, type MetricRow, metricsMarkdown } from '#mner/telemetry/metric-table.js';
import { createMetrics } from '#mner/telemetry/metrics.js';

/** What people's dashboards rely on; it changes only with a line in the changelog. */
const CONTRACT: Record<string, string[]> = {
  tweets_total: ['outcome'],
  dead_letters_total: ['code'],
  entities_total: ['type'],
  end_to_end_seconds: [],
  stage_seconds: ['stage'],
  batch_tweets: [],
  batch_tokens: [],
  batch_padding_ratio: [],
  bundle_tweets_total: ['bundle', 'result'],
  bundle_entities_total: ['bundle', 'type'],
  bundle_relevance: ['bundle'],
  bundle_inference_seconds: ['bundle'],
  reloads_total: ['result'],
  batch_retries_total: ['how'],
  queued_tweets: [],
  inflight_bytes: [],
  image_cache_requests_total: ['result'],
  images_total: ['status'],
  image_fetches_total: ['outcome'],
  photos_left_total: [],
  image_host_pauses_total: ['reason'],
  image_words_total: ['result'],
  repeats_total: ['result'],
  image_relevance: [],
  oldest_unprocessed_seconds: ['topic', 'partition'],
  lag_records: ['topic', 'partition'],
  paused_partitions: [],
  rebalances_total: [],
  offset_resets_total: ['to'],
  transactions_total: ['result'],
  inference_restarts_total: [],
  image_decoder_ends_total: ['reason'],
  degraded: ['reason'],
  model_info: ['bundle', 'version', 'provider'],
};

async function render(...events: Event[]): Promise<string> {
  const metrics = createMetrics({ node: false });
  for (const event of events) metrics.listener(event);
  return metrics.render();
}

test('docs/metrics.md is what the table says (vitest -u rewrites it)', async () => {
  await expect(metricsMarkdown()).toMatchFileSnapshot('../../docs/metrics.md');
});

test('the names and labels are those of the contract, in the table and in what Prometheus reads', async () => {
  const rows: MetricRow[] = Object.values(METRICS);
  const table = Object.fromEntries(rows.map((row) => [row.name.replace(/^mner_/, ''), Object.keys(row.labels ?? {})]));
  expect(table).toEqual(CONTRACT);
  const types = Object.fromEntries(
    [...(await render()).matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => [name, type]),
  );
  expect(types).toEqual(Object.fromEntries(rows.map((row) => [row.name, row.type])));
});

test("Node's own metrics stand beside ours", async () => {
  expect(await createMetrics().render()).toMatch(/^nodejs_eventloop_lag_seconds /m);
});

test('series of known labels are there from the start, at 0', async () => {
  const text = await render();
  expect(text).toContain('mner_tweets_total{outcome="output"} 0\n');
  expect(text).toContain('mner_degraded{reason="cache"} 0\n');
  for (const stage of STAGES) expect(text).toContain(`mner_stage_seconds_count{stage="${stage}"} 0\n`);
  for (const [code, row] of Object.entries(ERRORS)) {
    if (row.class === 'poison') expect(text).toContain(`mner_dead_letters_total{code="${code}"} 0\n`);
  }
});

test.each<[Event, string[]]>([
  [{ type: 'tweet', outcome: 'tombstone' }, ['mner_tweets_total{outcome="tombstone"} 1']],
  [{ type: 'dead_letter', code: 'bad_json' }, ['mner_dead_letters_total{code="bad_json"} 1']],
  [
    { type: 'entities', types: ['PER', 'LOC', 'PER'] },
    ['mner_entities_total{type="PER"} 2', 'mner_entities_total{type="LOC"} 1'],
  ],
  [
    { type: 'end_to_end', seconds: 0.2 },
    ['mner_end_to_end_seconds_sum 0.2', 'mner_end_to_end_seconds_bucket{le="0.25"} 1'],
  ],
  [{ type: 'stage', stage: 'crf', seconds: 0.003 }, ['mner_stage_seconds_bucket{le="0.005",stage="crf"} 1']],
  [
    { type: 'batch', tweets: 8, tokens: 250, padding: 0.03 },
    ['mner_batch_tweets_sum 8', 'mner_batch_tokens_sum 250', 'mner_batch_padding_ratio_bucket{le="0.04"} 1'],
  ],
  [{ type: 'queued', tweets: 7 }, ['mner_queued_tweets 7']],
  [{ type: 'inflight', bytes: 4096 }, ['mner_inflight_bytes 4096']],
  [{ type: 'image_cache', result: 'negative' }, ['mner_image_cache_requests_total{result="negative"} 1']],
  [{ type: 'image', status: 'skipped' }, ['mner_images_total{status="skipped"} 1']],
  [{ type: 'image_fetch', outcome: 'not_found' }, ['mner_image_fetches_total{outcome="not_found"} 1']],
  [{ type: 'image_fetch', outcome: 'no such outcome' as never }, ['mner_image_fetches_total{outcome="other"} 1']],
  [{ type: 'image_words', result: 'found' }, ['mner_image_words_total{result="found"} 1']],
  [{ type: 'repeat', result: 'shared' }, ['mner_repeats_total{result="shared"} 1']],
  [{ type: 'photos_left', photos: 3 }, ['mner_photos_left_total 3']],
  [{ type: 'image_host_pause', reason: 'failing' }, ['mner_image_host_pauses_total{reason="failing"} 1']],
  [
    { type: 'relevance', value: 0.83 },
    ['mner_image_relevance_bucket{le="0.9"} 1', 'mner_image_relevance_bucket{le="0.8"} 0'],
  ],
  [
    { type: 'lane', topic: 'tweets', partition: 3, oldestSeconds: 1.5, lag: 12 },
    [
      'mner_oldest_unprocessed_seconds{topic="tweets",partition="3"} 1.5',
      'mner_lag_records{topic="tweets",partition="3"} 12',
    ],
  ],
  [{ type: 'paused', partitions: 2 }, ['mner_paused_partitions 2']],
  [{ type: 'rebalance' }, ['mner_rebalances_total 1']],
  [{ type: 'transaction', result: 'aborted' }, ['mner_transactions_total{result="aborted"} 1']],
  [{ type: 'inference_restart' }, ['mner_inference_restarts_total 1']],
  [{ type: 'decoder_end', reason: 'memory' }, ['mner_image_decoder_ends_total{reason="memory"} 1']],
  [{ type: 'degraded', reason: 'cache', on: true }, ['mner_degraded{reason="cache"} 1']],
  [
    { type: 'model', bundle: 'ham-int8', version: '1', provider: 'cpu' },
    ['mner_model_info{bundle="ham-int8",version="1",provider="cpu"} 1'],
  ],
])('%o is counted', async (event, lines) => {
  const text = `\n${await render(event)}`;
  for (const line of lines) expect(text).toContain(`\n${line}\n`);
});

describe('labels stay bounded', () => {
  test('what a fetch can come to has a series of its own', () => {
    const known: readonly string[] = METRICS.imageFetches.labels.outcome;
    const fetched = IMAGE_STATUSES.filter((status) => !['used', 'none', 'skipped'].includes(status));
    for (const status of fetched) expect(known).toContain(status);
  });

  test('a code that nobody knows counts as internal', async () => {
    expect(await render({ type: 'dead_letter', code: 'from a tweet' })).toContain('{code="internal"} 1\n');
  });

  test('entity types beyond sixteen are counted together', async () => {
    const text = await render({ type: 'entities', types: Array.from({ length: 100 }, (_, i) => `T${i}`) });
    expect(text.match(/^mner_entities_total\{/gm)).toHaveLength(17);
    expect(text).toContain('mner_entities_total{type="other"} 84\n');
  });

  test('a lane that is lost takes its series with it', async () => {
    const text = await render(
      { type: 'lane', topic: 'tweets', partition: 0, oldestSeconds: 1, lag: 1 },
      { type: 'lane', topic: 'tweets', partition: 1, oldestSeconds: 1, lag: 1 },
      { type: 'lane_lost', topic: 'tweets', partition: 0 },
      { type: 'lane_lost', topic: 'tweets', partition: 9 },
    );
    expect(text.match(/partition="\d"/g)).toEqual(['partition="1"', 'partition="1"']);
  });

  test('a bundle that is gone takes its series with it', async () => {
    const model = { bundle: 'ham', provider: 'cpu' } as const;
    const text = await render(
      { type: 'model', ...model, version: '1' },
      { type: 'model_gone', ...model, version: '1' },
      { type: 'model', ...model, version: '2' },
    );
    expect(text.match(/^mner_model_info\{.*$/gm)).toEqual([
      'mner_model_info{bundle="ham",version="2",provider="cpu"} 1',
    ]);
  });
});
