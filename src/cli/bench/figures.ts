import { MnerError } from '../../errors.js';
import type { Figure } from './figure.js';
import { bucketing } from './measure/bucketing.js';
import { cacheHit } from './measure/cache-hit.js';
import { hotImage, text } from './measure/end-to-end.js';
import { eventLoop } from './measure/event-loop.js';
import { hostAlone } from './measure/host-alone.js';
import { missOverBare } from './measure/miss.js';
import { overNaive } from './measure/naive.js';
import { padding } from './measure/padding.js';
import { singleFlight } from './measure/single-flight.js';

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
    name: 'over_naive',
    goal: 2,
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
    name: 'host_tweets_per_s',
    goal: 4000,
    better: 'higher',
    meaning: 'tweets/s with a null model: what the host does alone, one process',
    measure: hostAlone,
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
