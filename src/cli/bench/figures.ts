import { MnerError } from '../../errors.js';
import type { Figure } from './figure.js';
import { bucketing } from './measure/bucketing.js';
import { cacheHit } from './measure/cache-hit.js';
import { eventLoop } from './measure/event-loop.js';
import { exactlyOnce } from './measure/exactly-once.js';
import { exactlyOverAtLeastOnce } from './measure/exactly-over-at-least-once.js';
import { hostAlone } from './measure/host-alone.js';
import { hostCpu } from './measure/host-cpu.js';
import { hotImage } from './measure/hot-image.js';
import { latency } from './measure/latency.js';
import { memorySlope } from './measure/memory.js';
import { missOverBare } from './measure/miss.js';
import { overNaive } from './measure/naive.js';
import { padding } from './measure/padding.js';
import { precision } from './measure/precision.js';
import { overPython } from './measure/python.js';
import { queueWait } from './measure/queue-wait.js';
import { recovery } from './measure/recovery.js';
import { scale } from './measure/scale.js';
import { singleFlight } from './measure/single-flight.js';
import { telemetryShare } from './measure/telemetry.js';
import { text } from './measure/text.js';

/** Every figure that `mner bench` can measure, in the order in which it does; docs/benchmarks.md says more of each. */
export const FIGURES: readonly Figure[] = [
  {
    name: 'e2e_text_over_ceiling',
    goal: 0.9,
    better: 'higher',
    meaning: 'tweets/s through a real Kafka, text only ÷ the same bundle called bare in its best batches',
    measure: text,
  },
  {
    name: 'e2e_hot_image_over_ceiling',
    goal: 0.85,
    better: 'higher',
    meaning: 'the same with pictures, every one in the cache; the bare calls run the fusion with them',
    measure: hotImage,
  },
  {
    name: 'e2e_eos_over_ceiling',
    goal: 0.8,
    better: 'higher',
    meaning: 'tweets/s through a real Kafka exactly once, text only ÷ the same bundle called bare in its best batches',
    measure: exactlyOnce,
  },
  {
    name: 'eos_over_alo',
    goal: 0.9,
    better: 'higher',
    meaning: 'tweets/s exactly once ÷ at least once, text only, through a real Kafka',
    measure: exactlyOverAtLeastOnce,
  },
  {
    name: 'over_naive',
    goal: '2 on a CPU, 5 on a GPU',
    better: 'higher',
    meaning: 'tweets/s ÷ an eachMessage consumer: one call and one awaited send per message',
    measure: overNaive,
  },
  {
    name: 'bucketed_over_fifo',
    goal: 1.15,
    better: 'higher',
    meaning: 'length-bucketed batches ÷ first-in-first-out ones under the same token budget',
    measure: bucketing,
  },
  {
    name: 'padding_share',
    goal: 0.08,
    better: 'lower',
    meaning: 'padding tokens ÷ all tokens at saturation',
    measure: padding,
  },
  {
    name: 'queue_wait_p99_ms',
    goal: 'deadline + one batch + 5',
    better: 'lower',
    meaning: 'wait of a tweet for its batch at 70 % load, open loop, 99th percentile',
    measure: queueWait,
  },
  {
    name: 'e2e_p99_ms',
    goal: null,
    better: 'lower',
    meaning: 'from the moment at which a tweet is due to its output at 70 % load, open loop, 99th percentile',
    measure: latency,
  },
  {
    name: 'host_tweets_per_s',
    goal: 4000,
    better: 'higher',
    meaning: 'tweets/s with a null model: what the host does alone, one process',
    measure: hostAlone,
  },
  {
    name: 'host_cpu_share',
    goal: 0.12,
    better: 'lower',
    meaning: "CPU of the worker's own process at saturation ÷ that of all its processes",
    measure: hostCpu,
  },
  {
    name: 'event_loop_p99_ms',
    goal: 20,
    better: 'lower',
    meaning: "delay of the worker's event loop at saturation, 99th percentile",
    measure: eventLoop,
  },
  {
    name: 'cache_hit_ms',
    goal: 0.1,
    better: 'lower',
    meaning: 'one picture from Redis, decoded, amortised over 64 keys',
    measure: cacheHit,
  },
  {
    name: 'miss_over_bare',
    goal: 1.3,
    better: 'lower',
    meaning: 'a cold picture through the stations, less the wait for its origin ÷ decoder and encoder called bare',
    measure: missOverBare,
  },
  {
    name: 'single_flight_fetches',
    // Exactly 1: a burst without a fetch fails the measurement.
    goal: 1,
    better: 'lower',
    meaning: 'fetches of one cold picture for 1000 tweets with it, in two workers; the most of all bursts',
    measure: singleFlight,
  },
  {
    name: 'int8_over_fp32',
    goal: 1.8,
    better: 'higher',
    meaning: 'tweets/s of the int8 build ÷ the fp32 build, called bare; the loss of F1 stands on stderr',
    measure: precision,
  },
  {
    name: 'rss_slope_mb_per_min',
    goal: 1,
    better: 'lower',
    meaning: 'growth of the memory of the worker and its processes at saturation',
    measure: memorySlope,
  },
  {
    name: 'scale_2_over_1',
    goal: 1.9,
    better: 'higher',
    meaning: 'tweets/s of two workers ÷ one, with a model that waits for as long as the real one computes',
    measure: scale,
  },
  {
    name: 'recovery_s',
    goal: 'session time-out + 5',
    better: 'lower',
    meaning: 'kill -9 of one of two workers, until every partition moves',
    measure: recovery,
  },
  {
    name: 'telemetry_share',
    goal: 0.02,
    better: 'lower',
    meaning: "share of metrics and logs in a CPU profile of the worker's own process at saturation",
    measure: telemetryShare,
  },
];

/** What `--peers` measures: ours must be ahead of each. */
export const PEERS: readonly Figure[] = [
  ...FIGURES.filter(({ name }) => name === 'over_naive'),
  {
    name: 'over_python_peer',
    goal: 1,
    better: 'higher',
    meaning: 'tweets/s ÷ a Python consumer: confluent-kafka, onnxruntime, batches by count',
    measure: overPython,
  },
];

/**
 * The figures that `--only` names, in the order of the table; all of them without it.
 *
 * @throws MnerError `bad_input` for a name that is none
 */
export function chooseFigures(only: string | undefined): readonly Figure[] {
  if (only === undefined) return FIGURES;
  const names = only
    .split(',')
    .map((name) => name.trim())
    .filter(Boolean);
  const known = FIGURES.map(({ name }) => name);
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined || names.length === 0) {
    throw new MnerError('bad_input', `--only takes some of ${known.join(', ')}, not ${JSON.stringify(unknown ?? '')}.`);
  }
  return FIGURES.filter(({ name }) => names.includes(name));
}
