import { destination, pino } from 'pino';
import pretty from 'pino-pretty';
import { type Clock, systemClock, type Timer } from '../clock.js';
import { cleanDetail, cleanText } from './clean.js';
import type { Emit } from './events.js';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

export interface LogOptions {
  /** Least level that is written. @default 'info' */
  readonly level?: LogLevel;
  /** `auto` is `pretty` on a terminal, `json` elsewhere. @default 'auto' */
  readonly format?: 'auto' | 'json' | 'pretty';
  /**
   * Takes whole lines. @default stderr, written synchronously so that nothing is lost at the end of the process. What cannot be
   * written, on a full disk say, waits for the next line and then for the room: at most a megabyte of it, and the rest is dropped.
   */
  readonly write?: (line: string) => void;
  readonly clock?: Clock;
}

export interface Log {
  /** Writes what people should know of an event; most events are counted only. */
  readonly listener: Emit;
  /** Writes what was held back. */
  stop(): void;
}

/** Most bytes of the log that wait for room on the disk. */
const MOST_WAITING = 1 << 20;

/** Dead letters come in floods: one line per code in this time, which counts the others. */
const DEAD_LETTER_LINE_MS = 10_000;

export function createLog(options: LogOptions = {}): Log {
  const clock = options.clock ?? systemClock;
  const format = options.format ?? 'auto';
  const isPretty =
    format === 'auto' ? options.write === undefined && process.stderr.isTTY === true : format === 'pretty';
  const sink = options.write ? { write: options.write } : stderrSink();
  const logger = pino(
    {
      level: options.level ?? 'info',
      base: null,
      formatters: { level: (label) => ({ level: label }) },
      timestamp: () => `,"time":"${new Date(clock.wall()).toISOString()}"`,
    },
    isPretty ? prettySink(sink, options.write === undefined) : sink,
  );
  const held = new Map<string, { count: number; readonly timer: Timer }>();

  /** The first of a code at once; those that follow within the time as one line at its end. */
  function deadLetter(code: string): void {
    const entry = held.get(code);
    if (entry) {
      entry.count += 1;
      return;
    }
    logger.warn({ event: 'dead_letter', code, count: 1 }, 'A record went to the dead-letter topic.');
    held.set(code, { count: 0, timer: clock.after(DEAD_LETTER_LINE_MS, () => release(code)) });
  }

  function release(code: string): void {
    const entry = held.get(code);
    if (!entry) return;
    held.delete(code);
    entry.timer.cancel();
    if (entry.count > 0) {
      logger.warn({ event: 'dead_letter', code, count: entry.count }, 'More records went to the dead-letter topic.');
    }
  }

  const listener: Emit = (event) => {
    switch (event.type) {
      case 'note': {
        if (!logger.isLevelEnabled(event.level)) return;
        const detail = event.detail === undefined ? {} : { detail: cleanDetail(event.detail) };
        return logger[event.level](detail, cleanText(event.message));
      }
      case 'dead_letter':
        return deadLetter(event.code);
      case 'degraded': {
        const { type, reason, on } = event;
        if (on) return logger.warn({ event: type, reason }, `The worker goes on without its ${reason}.`);
        return logger.info({ event: type, reason }, `The ${reason} is back.`);
      }
      case 'inference_restart':
        return logger.warn({ event: event.type }, 'The inference process was restarted.');
      case 'rebalance':
        return logger.info({ event: event.type }, 'The consumer group rebalances.');
      case 'model': {
        const { type, bundle, version, provider } = event;
        return logger.info({ event: type, bundle, version, provider }, `The model ${bundle} is in use.`);
      }
      case 'transaction':
        if (event.result === 'committed') return;
        return logger.warn({ event: event.type, result: event.result }, 'A transaction did not commit.');
      case 'offset_reset': {
        const { type, topic, partition, policy } = event;
        const [from, to] = [String(event.from), String(event.to)];
        const lost = event.to > event.from ? `; ${event.to - event.from} offsets are lost` : '';
        const message = `Offset ${from} of ${topic}, partition ${partition}, is out of range; reading goes on at ${to}${lost}.`;
        return logger.error({ event: type, topic, partition, from, to, policy }, message);
      }
      case 'lane_lost':
        return logger.debug(event, 'A partition went to another worker.');
      default:
        return;
    }
  };
  return {
    listener,
    stop() {
      for (const code of [...held.keys()]) release(code);
    },
  };
}

/** A disk that is full, or a reader that has gone, must not end the worker: nobody's tweets depend on its log. */
function stderrSink(): { write(line: string): unknown } {
  const sink = destination({ dest: 2, sync: true, maxLength: MOST_WAITING });
  sink.on('error', () => {});
  return sink;
}

/** People's form of the lines. In this process: a worker thread would lose lines at the end. */
function prettySink(sink: { write(line: string): unknown }, onStderr: boolean): { write(line: string): void } {
  const print = pretty.prettyFactory({
    colorize: onStderr && process.stderr.hasColors?.() === true,
    translateTime: 'SYS:HH:MM:ss',
    ignore: 'event',
    singleLine: true,
  });
  return {
    write: (line) => {
      sink.write(String(print(line)));
    },
  };
}
