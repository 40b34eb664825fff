import { Counter, Gauge, type Registry } from 'prom-client';
import type { MetricRow } from './metric-table.js';

/**
 * What a tweet causes dozens of times is counted here, in plain numbers. prom-client puts a key together from label names and values
 * for every observation; with a dozen observations a tweet that was 4 % of the worker's own CPU time. Counters and gauges
 * are handed over to it when somebody reads them; histograms, which it does not let us fill, write themselves.
 */
export interface TalliedHistogram {
  /** @throws TypeError for what is no number */
  observe(value: number): void;
}

export interface TalliedHistograms {
  /** @param labels as they stand in the row @default none */
  series(labels?: Readonly<Record<string, string>>): TalliedHistogram;
  /** The family in Prometheus's text format. */
  render(): string;
}

/** A histogram with all its series; those that were asked for are there from the start, with zeros. */
export function talliedHistograms({ name, help, buckets = [] }: MetricRow): TalliedHistograms {
  const parts: (() => string[])[] = [];
  return {
    series(labels = {}) {
      const counts = new Float64Array(buckets.length + 1);
      let sum = 0;
      const text = Object.entries(labels).map(([label, value]) => `${label}="${escaped(value)}"`);
      const line = (suffix: string, more: readonly string[], value: number) => {
        const all = [...more, ...text];
        return `${name}${suffix}${all.length > 0 ? `{${all.join(',')}}` : ''} ${value}`;
      };
      parts.push(() => {
        let below = 0;
        const lines = [...buckets.map(String), '+Inf'].map((bound, i) => {
          below += counts[i] as number;
          return line('_bucket', [`le="${bound}"`], below);
        });
        return [...lines, line('_sum', [], sum), line('_count', [], below)];
      });
      return {
        observe(value) {
          if (!Number.isFinite(value)) throw new TypeError(`${name} cannot count ${value}`);
          let i = 0;
          while (i < buckets.length && value > (buckets[i] as number)) i++;
          counts[i] = (counts[i] as number) + 1;
          sum += value;
        },
      };
    },
    render: () => [`# HELP ${name} ${help}`, `# TYPE ${name} histogram`, ...parts.flatMap((part) => part())].join('\n'),
  };
}

function escaped(value: string): string {
  return value.replace(/[\\"\n]/g, (sign) => (sign === '\n' ? '\\n' : `\\${sign}`));
}

/** One series of a counter. */
export interface Tally {
  inc(by?: number): void;
}

export interface TalliedCounter {
  /** @param values of the row's labels, in their order */
  series(...values: string[]): Tally;
}

/** A counter whose series are there from the start, at 0. */
export function talliedCounter(registry: Registry, row: MetricRow): TalliedCounter {
  const pending: (() => void)[] = [];
  const whole = new Counter({
    name: row.name,
    help: row.help,
    labelNames: Object.keys(row.labels ?? {}),
    registers: [registry],
    collect: () => {
      for (const hand of pending) hand();
    },
  });
  return {
    series(...values) {
      let count = 0;
      const child = values.length > 0 ? whole.labels(...values) : whole;
      child.inc(0);
      pending.push(() => {
        child.inc(count);
        count = 0;
      });
      return {
        inc(by = 1) {
          count += by;
        },
      };
    },
  };
}

/** A gauge without labels, of which only the last value before a reading is wanted. */
export function talliedGauge(registry: Registry, { name, help }: MetricRow): { set(value: number): void } {
  let latest: number | undefined;
  const whole = new Gauge({
    name,
    help,
    registers: [registry],
    collect: () => {
      if (latest !== undefined) whole.set(latest);
    },
  });
  return {
    set(value) {
      latest = value;
    },
  };
}
