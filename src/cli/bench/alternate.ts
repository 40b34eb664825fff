import { progress, say } from '../print.js';
import { fromSamples, type Measured, median } from './figure.js';

/** One way of working through the set of tweets. */
export interface Side {
  readonly name: string;
  /** Works through the whole set so many times. Returns the seconds that it took; idles before and after. */
  run(passes: number): Promise<number>;
  /** Told when the passes that warm up are over: what was counted until now does not count. */
  warmed?(): void;
}

export interface AlternateOptions {
  /** Tweets in the set. */
  readonly tweets: number;
  /** Windows for each side. */
  readonly windows: number;
  /** Length of a window; it is rounded to whole passes through the set, so that every window has the same mixture of lengths. */
  readonly seconds: number;
}

/** Every side works so long before anything counts, in seconds, and at least one pass: it compiles and connects meanwhile. */
const WARM_SECONDS = 3;

/**
 * Tweets per second of every side in every window. The sides take turns within one run, and the order turns around with every
 * round, so that what else the machine does meets all alike. Each side begins with passes that do not count; the last of them
 * tells how many make a window.
 */
export async function alternate(sides: readonly Side[], options: AlternateOptions): Promise<number[][]> {
  const { tweets, windows, seconds } = options;
  const passes: number[] = [];
  for (const side of sides) {
    let last = 0;
    for (let warm = 0; warm < Math.min(seconds, WARM_SECONDS); warm += last) last = await side.run(1);
    side.warmed?.();
    passes.push(Math.max(1, Math.round(seconds / last)));
    say(`  ${side.name}: warm, ${rate(tweets / last)}; ${passes.at(-1)} × ${tweets} tweets a window`);
  }
  const rates: number[][] = sides.map(() => []);
  const bar = progress();
  for (let window = 0; window < windows; window++) {
    const order = [...sides.keys()];
    if (window % 2 === 1) order.reverse();
    for (const i of order) {
      const side = sides[i] as Side;
      const count = passes[i] as number;
      bar.update(`  window ${window + 1} of ${windows}: ${side.name} …`);
      rates[i]?.push((tweets * count) / (await side.run(count)));
    }
    bar.done();
    const line = sides.map(({ name }, i) => `${name} ${rate(rates[i]?.at(-1) ?? 0)}`).join(', ');
    say(`  window ${window + 1} of ${windows}: ${line}`);
  }
  return rates;
}

/** The median of one side ÷ the median of the other; the samples are the windows of the first ÷ that median. */
export function ratio(over: readonly number[], under: readonly number[]): Measured {
  const base = median(under);
  return fromSamples(over.map((value) => value / base));
}

function rate(tweetsPerSecond: number): string {
  return `${tweetsPerSecond.toFixed(tweetsPerSecond < 100 ? 1 : 0)} tweets/s`;
}
