import { setMaxListeners } from 'node:events';
import { type Clock, systemClock } from '../clock.js';
import { asMnerError, MnerError } from '../errors.js';
import { type Emit, silent } from '../telemetry/events.js';
import { formatOf, NO_PICTURE } from './decode-format.js';
import { createDecodeProcess } from './decode-process.js';
import { limiter } from './limiter.js';

export interface DecoderOptions {
  /** Side of the square that the vision encoder reads, in pixels. */
  readonly size: number;
  /**
   * Longer side, in pixels, of a second picture in grey, which words are read from; a smaller picture keeps its size.
   * @default none is made
   */
  readonly greySide?: number;
  /** Width times height of a picture, by its header; more is `too_large`. @default 25000000 */
  readonly maxPixels?: number;
  /** Pictures decoded at once, each in a process of its own. @default 2 */
  readonly concurrency?: number;
  /** Milliseconds that one picture may take; more is `unreadable`. @default 5000 */
  readonly timeoutMs?: number;
  /**
   * Memory of one decoding process, in bytes; a picture that takes more is `unreadable`. 60 MB are its own; pictures of 25
   * megapixels took up to 490 MB, ordinary ones 20 MB.
   * @default 536870912
   */
  readonly maxMemoryBytes?: number;
  /** Milliseconds in which a decoding process has to be ready. @default 30000 */
  readonly startTimeoutMs?: number;
  /** @default systemClock */
  readonly clock?: Clock;
  readonly emit?: Emit;
  /** The program of the decoding processes. @default decode-child.js beside this file */
  readonly program?: string;
}

export type Decoded = Pixels | { readonly status: 'unreadable' | 'too_large'; readonly detail: string };

/** A picture squashed into a square. */
export interface Pixels {
  readonly status: 'ok';
  /** RGB, row by row, size x size x 3 bytes. */
  readonly pixels: Uint8Array;
  /** Of the picture as it came, upright. */
  readonly width: number;
  readonly height: number;
  /** Where `greySide` asks for it. */
  readonly grey?: Grey;
}

/** A picture as it is, not squashed: a byte a pixel, row by row, 0 is black. */
export interface Grey {
  readonly width: number;
  readonly height: number;
  readonly pixels: Uint8Array;
}

/** Turns bytes of any kind into the pixels that the vision encoder reads. */
export interface Decoder {
  /**
   * Never throws for what the bytes are.
   * @throws MnerError `decoder_unavailable` when the decoder cannot work at all, or was stopped; it says nothing about
   * the picture
   */
  decode(bytes: Uint8Array): Promise<Decoded>;
  /** Gives up what is under way, and ends its processes. Safe to call twice. */
  stop(): Promise<void>;
}

/** A decoder in child processes, and their ids. */
export interface ProcessDecoder extends Decoder {
  readonly pids: readonly number[];
}

/** Processes that may die under one picture before the picture is to blame. */
const DEATHS = 2;
const BACK_OFF_MS = 500;
const MAX_BACK_OFF_MS = 30_000;

/**
 * A decoder whose pictures cannot hurt the worker: each is decoded in a child process with a memory and a time limit, alone.
 * A picture that spins or takes too much memory is `unreadable`, and so is one under which two processes died; its
 * neighbours go on. Nothing is started before the first picture, and idle processes keep nobody alive.
 */
export function createDecoder(options: DecoderOptions): ProcessDecoder {
  const { clock = systemClock, emit = silent, concurrency = 2 } = options;
  const slots = limiter(concurrency);
  const processes = Array.from({ length: concurrency }, () =>
    createDecodeProcess({
      size: options.size,
      maxPixels: options.maxPixels ?? 25_000_000,
      ...(options.greySide !== undefined && { greySide: options.greySide }),
      timeoutMs: options.timeoutMs ?? 5_000,
      startTimeoutMs: options.startTimeoutMs ?? 30_000,
      maxMemoryBytes: options.maxMemoryBytes ?? 512 * 1024 * 1024,
      program: options.program,
      clock,
      emit,
    }),
  );
  /** The one used last is used next, so that a calm worker keeps only one process. */
  const idle = [...processes];
  const stopping = new AbortController();
  // Every picture that waits listens to it; more than ten at once are no leak.
  setMaxListeners(0, stopping.signal);
  /** Starts that failed one after the other, and when the next one may be tried. */
  let failures = 0;
  let retryAt = 0;
  let failure: MnerError | null = null;

  async function work(bytes: Uint8Array): Promise<Decoded> {
    if (failure && clock.now() < retryAt) throw failure;
    const mine = idle.pop();
    if (!mine) throw new MnerError('internal', 'There are more slots than decoding processes.');
    try {
      for (let deaths = 0; deaths < DEATHS; deaths += 1) {
        // One death may be another's doing, such as the kernel's when memory runs out.
        const decoded = await mine.decode(bytes);
        failures = 0;
        failure = null;
        if (decoded.status !== 'died') return decoded;
      }
      return { status: 'unreadable', detail: 'the decoder crashes on it' };
    } catch (error) {
      if (!stopping.signal.aborted) {
        failure = asMnerError(error);
        retryAt = clock.now() + Math.min(MAX_BACK_OFF_MS, BACK_OFF_MS * 2 ** failures);
        failures += 1;
      }
      throw error;
    } finally {
      idle.push(mine);
    }
  }

  return {
    async decode(bytes) {
      if (formatOf(bytes) === null) return NO_PICTURE;
      const release = await slots.take(stopping.signal);
      if (release === null) throw new MnerError('decoder_unavailable', 'The decoder was stopped.');
      try {
        return await work(bytes);
      } finally {
        release();
      }
    },
    async stop() {
      stopping.abort();
      await Promise.all(processes.map((one) => one.stop()));
    },
    get pids() {
      return processes.map(({ pid }) => pid).filter((pid) => pid !== null);
    },
  };
}
