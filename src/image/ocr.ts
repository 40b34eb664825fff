import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Clock, systemClock } from '../clock.js';
import { asMnerError } from '../errors.js';
import { type Emit, type Event, silent } from '../telemetry/events.js';
import type { Grey } from './decode.js';
import { createGuardedProcess } from './guarded-process.js';
import { limiter } from './limiter.js';
import { type FromReader, type OcrSettings, readMessage } from './ocr-wire.js';

/** Longer side of the picture that words are read from, in pixels: more costs time and finds little. */
export const OCR_SIDE = 1024;

export interface WordReaderOptions {
  /** Milliseconds that a picture waits for its words: for its turn, for the engine's start, for the reading. @default 2000 */
  readonly timeoutMs?: number;
  /** Milliseconds in which the engine has to be ready. @default 10000, or `timeoutMs` where that is more */
  readonly startTimeoutMs?: number;
  /** Memory of the engine's process, in bytes. It took up to 160 MB. @default 536870912 */
  readonly maxMemoryBytes?: number;
  /** @default systemClock */
  readonly clock?: Clock;
  readonly emit?: Emit;
  /** The program of the engine's process. @default ocr-child.js beside this file */
  readonly program?: string;
}

/** Finds the words in pictures. They are an addition: whatever hinders it, the picture goes on without them. */
export interface WordReader {
  /** Starts the engine where there is none, so that it is ready by the time at which a picture is. Never throws. */
  warm(): void;
  /**
   * Never throws, and never takes longer than the time limit, whatever the engine does.
   * @param picture sides of at most {@link OCR_SIDE} pixels
   * @returns the words with a space between them, at most 300 code points; empty where there are none; null when they
   * were not read, since there was no time, the engine failed, or it was stopped
   */
  read(picture: Grey): Promise<string | null>;
  /** Gives up what is under way, and ends the engine. Safe to call twice. */
  stop(): Promise<void>;
  /** Of the engine's process, while there is one. */
  readonly pid: number | null;
}

type Answer = { readonly words: string } | { readonly result: Result };
type Result = Extract<Event, { type: 'image_words' }>['result'];

/** Pictures that wait for the engine; what comes beyond them goes on without words, at once. */
const MAX_WAITING = 8;
/** WebAssembly's memory never shrinks. */
const PICTURES_OF_A_PROCESS = 1_000;
/** After a start that failed. */
const BACK_OFF_MS = 30_000;

/**
 * tesseract.js in a child process with a memory and a time limit, one picture at a time. It starts with the first picture;
 * when a picture takes too long or crashes it, the next one starts it anew. Nothing is downloaded: engine and language are
 * packages.
 */
export function createWordReader(options: WordReaderOptions = {}): WordReader {
  const { clock = systemClock, emit = silent, timeoutMs = 2_000 } = options;
  const guarded = createGuardedProcess<Extract<FromReader, { type: 'answer' }>>({
    name: 'process that reads words',
    program: options.program ?? fileURLToPath(new URL('./ocr-child.js', import.meta.url)),
    settings: { languagePath: languagePath() } satisfies OcrSettings,
    readMessage,
    timeoutMs,
    startTimeoutMs: options.startTimeoutMs ?? Math.max(10_000, timeoutMs),
    maxMemoryBytes: options.maxMemoryBytes ?? 512 * 1024 * 1024,
    // Its own, and that of tesseract.js.
    threads: 2,
    tasks: PICTURES_OF_A_PROCESS,
    clock,
    failed(reason, message, stderr) {
      // Common, and counted.
      if (reason === 'timed_out') return;
      emit({ type: 'note', level: 'warn', message, ...(stderr ? { detail: { stderr } } : {}) });
    },
  });
  const turns = limiter(1);
  let stopped = false;
  let retryAt = Number.NEGATIVE_INFINITY;

  /** Whether the engine may be tried: it did not just fail to start. */
  const mayStart = () => !stopped && clock.now() >= retryAt;

  /**
   * What the engine says; a word for why it says nothing. The engine keeps its turn until it is done, be it that nobody waits for
   * the picture any more: a start that takes too long for this one is over for the next.
   * @param has called when the picture has its turn
   */
  async function ask(picture: Grey, patience: AbortSignal, has: () => void): Promise<Answer> {
    if (!mayStart()) return { result: 'failed' };
    const done = turns.load > MAX_WAITING ? null : await turns.take(patience);
    if (done === null) return { result: 'skipped' };
    has();
    const start = clock.now();
    try {
      // While it waited, the engine did not start for the picture before.
      if (!mayStart()) return { result: 'failed' };
      await guarded.start();
      if (patience.aborted) return { result: 'timed_out' };
      const news = await guarded.ask(picture);
      if (news.type === 'answer') return { words: news.words };
      return { result: news.type === 'timed_out' ? 'timed_out' : 'failed' };
    } catch (error) {
      failed(error);
      return { result: 'failed' };
    } finally {
      done();
      emit({ type: 'stage', stage: 'image_words', seconds: (clock.now() - start) / 1000 });
    }
  }

  /** As {@link ask}, within the time limit. */
  async function answerOf(picture: Grey): Promise<Answer> {
    const patience = new AbortController();
    let result: Result = 'skipped';
    const late = new Promise<Answer>((resolve) => {
      patience.signal.addEventListener('abort', () => resolve({ result }), { once: true });
    });
    const timer = clock.after(timeoutMs, () => patience.abort());
    const asked = ask(picture, patience.signal, () => {
      result = 'timed_out';
    });
    return Promise.race([asked, late]).finally(() => timer.cancel());
  }

  /** The engine does not start: nothing that a picture did, so the next ones do not wait for it. */
  function failed(error: unknown): void {
    // Once for all who waited for the same start.
    if (!mayStart()) return;
    retryAt = clock.now() + BACK_OFF_MS;
    const { code, message } = asMnerError(error);
    emit({
      type: 'note',
      level: 'error',
      message: 'The words in pictures cannot be read and are left out.',
      detail: { code, message },
    });
  }

  return {
    warm() {
      if (guarded.pid === null && mayStart()) guarded.start().catch(failed);
    },
    async read(picture) {
      const answer = await answerOf(picture);
      const words = 'words' in answer ? answer.words : null;
      if (!stopped) {
        const result = 'result' in answer ? answer.result : answer.words === '' ? 'none' : 'found';
        emit({ type: 'image_words', result });
      }
      return words;
    },
    async stop() {
      stopped = true;
      // Who waits has its turn at once, and is told that the process was stopped.
      await guarded.stop();
    },
    get pid() {
      return guarded.pid;
    },
  };
}

/** The language's data for the engine's neural network, as integers: a third of the size of the full data, and faster. */
function languagePath(): string {
  return join(dirname(createRequire(import.meta.url).resolve('@tesseract.js-data/eng/package.json')), '4.0.0_best_int');
}
