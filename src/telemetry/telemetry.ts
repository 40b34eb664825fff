import type { Emit } from './events.js';
import { createHealth, type Health } from './health.js';
import { createLog, type LogOptions } from './log.js';
import { createMetrics, type Metrics } from './metrics.js';

export interface TelemetryOptions {
  readonly log?: LogOptions;
  /** Adds Node's own metrics. @default true */
  readonly nodeMetrics?: boolean;
}

export interface Telemetry {
  /** Counts and logs one event. Never throws: what is wrong with an event must not stop a tweet. */
  readonly emit: Emit;
  readonly metrics: Pick<Metrics, 'contentType' | 'render'>;
  readonly health: Health;
  /** Writes what the log held back. Safe to call twice. */
  stop(): void;
}

/** Everything that listens to the worker's events. */
export function createTelemetry(options: TelemetryOptions = {}): Telemetry {
  const metrics = createMetrics({ node: options.nodeMetrics ?? true });
  const log = createLog(options.log);
  const broken = new Set<string>();
  return {
    emit(event) {
      try {
        metrics.listener(event);
        log.listener(event);
      } catch (error) {
        if (broken.has(event.type)) return;
        broken.add(event.type);
        const message = `Events of type ${event.type} cannot be counted.`;
        log.listener({ type: 'note', level: 'error', message, detail: { error } });
      }
    },
    metrics,
    health: createHealth(),
    stop: () => log.stop(),
  };
}
