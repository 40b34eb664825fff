import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { createBundleMetrics, entityCounter } from './bundle-metrics.js';
import type { Emit } from './events.js';
import { METRICS, type MetricRow } from './metric-table.js';
import { type TalliedHistograms, talliedCounter, talliedGauge, talliedHistograms } from './tallies.js';

export interface Metrics {
  /** Counts one event. Throws for a value that is no number. */
  readonly listener: Emit;
  /** Media type of {@link Metrics.render}. */
  readonly contentType: string;
  /** The text that Prometheus reads. */
  render(): Promise<string>;
}

export interface MetricsOptions {
  /** Adds Node's own metrics. @default true */
  readonly node?: boolean;
}

/**
 * The registry and what fills it. Children of bounded labels are bound ahead, so that an event costs a look-up and an addition,
 * and start at 0, so that rates are right from the first event.
 */
export function createMetrics(options: MetricsOptions = {}): Metrics {
  const registry = new Registry();
  if (options.node ?? true) collectDefaultMetrics({ register: registry });

  const histograms: TalliedHistograms[] = [];
  const histogram = (row: MetricRow) => {
    const whole = talliedHistograms(row);
    histograms.push(whole);
    return whole;
  };
  const tweets = boundCounter(registry, METRICS.tweets, 'outcome');
  const deadLetters = boundCounter(registry, METRICS.deadLetters, 'code');
  const imageCache = boundCounter(registry, METRICS.imageCache, 'result');
  const images = boundCounter(registry, METRICS.images, 'status');
  const imageFetches = boundCounter(registry, METRICS.imageFetches, 'outcome');
  const photosLeft = talliedCounter(registry, METRICS.photosLeft).series();
  const imageHostPauses = boundCounter(registry, METRICS.imageHostPauses, 'reason');
  const imageWords = boundCounter(registry, METRICS.imageWords, 'result');
  const repeats = boundCounter(registry, METRICS.repeats, 'result');
  const transactions = boundCounter(registry, METRICS.transactions, 'result');
  const offsetResets = boundCounter(registry, METRICS.offsetResets, 'to');
  const batchRetries = boundCounter(registry, METRICS.batchRetries, 'how');
  const rebalances = talliedCounter(registry, METRICS.rebalances).series();
  const inferenceRestarts = talliedCounter(registry, METRICS.inferenceRestarts).series();
  const decoderEnds = boundCounter(registry, METRICS.decoderEnds, 'reason');
  const entitiesByType = talliedCounter(registry, METRICS.entities);
  const entities = entityCounter((type) => entitiesByType.series(type));
  const bundles = createBundleMetrics({
    tweets: talliedCounter(registry, METRICS.bundleTweets),
    entities: talliedCounter(registry, METRICS.bundleEntities),
    relevance: histogram(METRICS.bundleRelevance),
    inference: histogram(METRICS.bundleInference),
  });
  const reloads = boundCounter(registry, METRICS.reloads, 'result');

  const endToEnd = histogram(METRICS.endToEnd).series();
  const batchTweets = histogram(METRICS.batchTweets).series();
  const batchTokens = histogram(METRICS.batchTokens).series();
  const batchPadding = histogram(METRICS.batchPadding).series();
  const relevance = histogram(METRICS.relevance).series();
  const ofStages = histogram(METRICS.stage);
  const stages = new Map(METRICS.stage.labels.stage.map((stage) => [stage, ofStages.series({ stage })]));

  const queued = talliedGauge(registry, METRICS.queued);
  const queuedBy = new Map<string | undefined, number>();
  const inflight = talliedGauge(registry, METRICS.inflight);
  const paused = gauge(registry, METRICS.paused);
  const oldest = gauge(registry, METRICS.oldest);
  const lag = gauge(registry, METRICS.lag);
  const degraded = gauge(registry, METRICS.degraded);
  for (const reason of METRICS.degraded.labels.reason) degraded.labels(reason).set(0);
  const model = gauge(registry, METRICS.model);

  const listener: Emit = (event) => {
    switch (event.type) {
      case 'stage':
        return stages.get(event.stage)?.observe(event.seconds);
      case 'tweet':
        return tweets(event.outcome);
      case 'end_to_end':
        return endToEnd.observe(event.seconds);
      case 'entities':
        for (const type of event.types) entities(type);
        return;
      case 'inflight':
        return inflight.set(event.bytes);
      case 'queued':
        queuedBy.set(event.bundle, event.tweets);
        return queued.set([...queuedBy.values()].reduce((sum, tweets) => sum + tweets, 0));
      case 'bundle_tweet':
        return bundles.tweet(event);
      case 'bundle_inference':
        return bundles.inference(event);
      case 'reload':
        return reloads(event.result);
      case 'image_cache':
        return imageCache(event.result);
      case 'image':
        return images(event.status);
      case 'image_fetch':
        return imageFetches(event.outcome);
      case 'photos_left':
        return photosLeft.inc(event.photos);
      case 'image_host_pause':
        return imageHostPauses(event.reason);
      case 'image_words':
        return imageWords(event.result);
      case 'repeat':
        return repeats(event.result);
      case 'relevance':
        return relevance.observe(event.value);
      case 'batch':
        batchTweets.observe(event.tweets);
        batchTokens.observe(event.tokens);
        return batchPadding.observe(event.padding);
      case 'batch_retry':
        return batchRetries(event.how);
      case 'dead_letter':
        return deadLetters(event.code);
      case 'lane': {
        const partition = String(event.partition);
        oldest.labels(event.topic, partition).set(event.oldestSeconds);
        return lag.labels(event.topic, partition).set(event.lag);
      }
      case 'lane_lost': {
        const partition = String(event.partition);
        oldest.remove(event.topic, partition);
        return lag.remove(event.topic, partition);
      }
      case 'paused':
        return paused.set(event.partitions);
      case 'offset_reset':
        return offsetResets(event.policy);
      case 'rebalance':
        return rebalances.inc();
      case 'transaction':
        return transactions(event.result);
      case 'inference_restart':
        return inferenceRestarts.inc();
      case 'decoder_end':
        return decoderEnds(event.reason);
      case 'degraded':
        return degraded.labels(event.reason).set(event.on ? 1 : 0);
      case 'model':
        return model.labels(event.bundle, event.version, event.provider).set(1);
      case 'model_gone':
        return model.remove(event.bundle, event.version, event.provider);
      case 'inference_ready':
      case 'note':
        return;
    }
  };
  return {
    listener,
    contentType: registry.contentType,
    async render() {
      const parts = [(await registry.metrics()).trimEnd(), ...histograms.map((one) => one.render())];
      return `${parts.join('\n\n')}\n`;
    },
  };
}

function settings(registry: Registry, row: MetricRow) {
  return { name: row.name, help: row.help, labelNames: Object.keys(row.labels ?? {}), registers: [registry] };
}

function gauge(registry: Registry, row: MetricRow): Gauge {
  return new Gauge(settings(registry, row));
}

/** A counter with one label of known values; the last of them stands for values that nobody foresaw. */
function boundCounter<L extends string>(
  registry: Registry,
  row: MetricRow & { readonly labels: Readonly<Record<L, readonly string[]>> },
  label: L,
): (value: string) => void {
  const whole = talliedCounter(registry, row);
  const values = row.labels[label];
  const children = new Map(values.map((value) => [value, whole.series(value)]));
  const other = children.get(values.at(-1)!)!;
  return (value) => (children.get(value) ?? other).inc();
}
