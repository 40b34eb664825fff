import { fileURLToPath } from 'node:url';
import type { Clock } from '../clock.js';
import type { Emit } from '../telemetry/events.js';
import type { Decoded } from './decode.js';
import { type DecodeSettings, readMessage } from './decode-wire.js';
import { createGuardedProcess } from './guarded-process.js';

export interface DecodeProcessOptions extends DecodeSettings {
  readonly timeoutMs: number;
  readonly startTimeoutMs: number;
  readonly maxMemoryBytes: number;
  readonly program: string | undefined;
  /** Pictures after which a process is replaced. @default 10000 */
  readonly pictures?: number;
  readonly clock: Clock;
  readonly emit: Emit;
}

/** One decoding process, which takes one picture at a time: whatever ends it, the picture in it is to blame. */
export interface DecodeProcess {
  /**
   * Starts the process if there is none. `died`: the process ended under this picture, and not by our hand.
   * @throws MnerError `decoder_unavailable` when the process does not start, or is stopped
   */
  decode(bytes: Uint8Array): Promise<Decoded | { readonly status: 'died' }>;
  /** Ends the process at once; resolves when it is gone. */
  stop(): Promise<void>;
  readonly pid: number | null;
}

export function createDecodeProcess(options: DecodeProcessOptions): DecodeProcess {
  const { size, maxPixels, greySide, timeoutMs, startTimeoutMs, maxMemoryBytes, clock, emit } = options;
  const settings: DecodeSettings = { size, maxPixels, ...(greySide !== undefined && { greySide }) };
  const guarded = createGuardedProcess({
    name: 'decoding process',
    program: options.program ?? fileURLToPath(new URL('./decode-child.js', import.meta.url)),
    settings,
    readMessage: (message) => readMessage(message, settings),
    timeoutMs,
    startTimeoutMs,
    maxMemoryBytes,
    ...(options.pictures !== undefined && { tasks: options.pictures }),
    clock,
    failed(reason, message, stderr) {
      emit({ type: 'decoder_end', reason });
      emit({ type: 'note', level: 'warn', message, ...(stderr ? { detail: { stderr } } : {}) });
    },
  });
  return {
    async decode(bytes) {
      const news = await guarded.ask(bytes);
      if (news.type === 'answer') return news.decoded;
      if (news.type === 'died') return { status: 'died' };
      return {
        status: 'unreadable',
        detail:
          news.type === 'memory' ? 'decoding it takes too much memory' : `decoding it takes more than ${timeoutMs} ms`,
      };
    },
    stop: guarded.stop,
    get pid() {
      return guarded.pid;
    },
  };
}
