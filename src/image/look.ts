import { setMaxListeners } from 'node:events';
import { type Clock, systemClock } from '../clock.js';
import { asMnerError } from '../errors.js';
import type { InferenceHost } from '../inference/port.js';
import { type Emit, silent } from '../telemetry/events.js';
import { createCodec, type Remembered } from './cache/codec.js';
import { createPictureStore, LIFETIMES, type Lifetimes } from './cache/store.js';
import { takeTurn } from './cache/turn.js';
import { createDecoder, type DecoderOptions } from './decode.js';
import { createFeatureExtractor } from './features.js';
import { limiter } from './limiter.js';
import { createWordReader, OCR_SIDE, type WordReaderOptions } from './ocr.js';
import type { Cache, Fetched, Look, Origin, Photo } from './port.js';
import type { VisionShape } from './vision-shape.js';
import { createMeaning, type Meant, type Wanted } from './wanted.js';

/** The pictures of tweets: fetched once, understood once, remembered, together with what failed. */
export interface Images {
  /**
   * Looks at a tweet's picture. Never throws and never takes longer than the tweet's budget, whatever the picture, its
   * origin or the cache do; the status says what became of it.
   * @param signal the tweet is given up
   */
  look(photo: Photo | null | undefined, signal: AbortSignal): Promise<Look>;
  /**
   * The bytes of a photo as a look has them that finds nothing remembered: of the same variant, within the same limits. Never
   * throws. For people who want to see the picture itself; null where the photo names none.
   */
  bytes(photo: Photo): Promise<Fetched | null>;
  /**
   * Gives up what is under way, and its leases; later looks are `skipped`. Safe to call twice. Origin, cache and host stay
   * open.
   */
  stop(): Promise<void>;
}

export interface ImagesParts {
  readonly origin: Origin;
  readonly cache: Cache;
  /** Started, with the vision bundle loaded under the name `vision`. */
  readonly host: InferenceHost;
  readonly bundle: VisionShape;
  /** @default systemClock */
  readonly clock?: Clock;
  readonly emit?: Emit;
  readonly options?: ImagesOptions;
}

export interface ImagesOptions {
  /** Milliseconds that a tweet waits for its picture; past it the tweet goes on without. @default 8000 */
  readonly budgetMs?: number;
  /**
   * Pictures fetched and decoded at once. Each may hold a body of the largest size: this bounds the memory that
   * strangers can take.
   * @default 32
   */
  readonly concurrency?: number;
  /**
   * What happens to a picture for which `concurrency` has no place, when `maxWaiting` pictures wait for one already:
   * `skip` sheds it at once, so that its tweets go on as text; `wait` lets it stand in the queue until their budgets end.
   * Either way pictures are shed before tweets.
   * @default 'wait'
   */
  readonly overload?: 'wait' | 'skip';
  /** Pictures that wait for a place before `skip` sheds. @default 512 */
  readonly maxWaiting?: number;
  /**
   * Milliseconds after which another worker takes over a picture from one that died with it. It is renewed three times
   * as often.
   * @default 3000
   */
  readonly leaseMs?: number;
  /** Bytes of a picture that comes inside the tweet, or from a file. @default 10485760 */
  readonly maxBytes?: number;
  /** Whether `file:` is read. Only for commands that look at their user's own files. @default false */
  readonly allowFiles?: boolean;
  /** @default LIFETIMES */
  readonly lifetimes?: Partial<Lifetimes>;
  /** Limits of the decoder. */
  readonly decoder?: Omit<DecoderOptions, 'size' | 'greySide'>;
  /** Reads the words in pictures, within these limits. @default they are not read, and no engine is started */
  readonly words?: WordReaderOptions;
}

/** What came of a picture, and after which time, in milliseconds, another answer is likely, where the origin said so. */
interface Understood {
  readonly entry: Remembered;
  /** As in {@link Look}: for people, and not remembered. */
  readonly size?: { readonly width: number; readonly height: number };
  readonly retryMs?: number | undefined;
  /** Why there are no features: for people, and not remembered. */
  readonly detail?: string | undefined;
}

/** A picture whose words could not be read is remembered without them, but not for long. */
const WORDLESS_MS = 600_000;

/** One picture under way, for all the tweets that wait for it. */
interface Flight {
  readonly look: Promise<Look>;
  /** Tweets that still wait. */
  waiters: number;
}

const NONE: Look = { status: 'none', cache: null };
const SKIPPED: Look = { status: 'skipped', cache: null };
const TIMED_OUT: Look = { status: 'timed_out', cache: null };

export function createImages(parts: ImagesParts): Images {
  const { origin, cache, host, options = {} } = parts;
  // With words is something else than without, to the fleet's memory too.
  const bundle = options.words ? { ...parts.bundle, version: `${parts.bundle.version}+words` } : parts.bundle;
  const clock = parts.clock ?? systemClock;
  const emit = parts.emit ?? silent;
  const budgetMs = options.budgetMs ?? 8_000;
  const lifetimes = { ...LIFETIMES, ...options.lifetimes };
  const store = createPictureStore({ cache, codec: createCodec(bundle), lifetimes, clock, emit });
  const reader = options.words ? createWordReader({ clock, emit, ...options.words }) : null;
  const greySide = reader ? { greySide: OCR_SIDE } : {};
  const decoder = createDecoder({ ...options.decoder, ...greySide, size: bundle.size, clock, emit });
  const extractor = createFeatureExtractor({ host, bundle, clock, emit });
  const concurrency = options.concurrency ?? 32;
  const maxWaiting = options.overload === 'skip' ? (options.maxWaiting ?? 512) : Number.POSITIVE_INFINITY;
  const turns = { store, clock, leaseMs: options.leaseMs ?? 3_000 };
  const slots = limiter(concurrency);
  const meaningOf = createMeaning({
    version: bundle.version,
    side: reader ? Math.max(bundle.size, OCR_SIDE / 2) : bundle.size,
    maxBytes: options.maxBytes,
    allowFiles: options.allowFiles,
    fetch: fetched,
  });
  const flights = new Map<string, Flight>();
  /** As the flights, but until each has landed. */
  const inTheAir = new Set<Promise<void>>();
  const stopping = new AbortController();
  // Every fetch listens to it; more than ten at once are no leak.
  setMaxListeners(0, stopping.signal);
  let failing = false;

  async function fetched(url: string): Promise<Fetched> {
    const result = await timed('fetch', () => origin.fetch(url, stopping.signal));
    emit({ type: 'image_fetch', outcome: result.status });
    return result;
  }

  async function timed<T>(stage: 'fetch' | 'decode_image', work: () => Promise<T>): Promise<T> {
    const start = clock.now();
    const result = await work();
    emit({ type: 'stage', stage, seconds: (clock.now() - start) / 1000 });
    return result;
  }

  /** From bytes to features, or to the reason why there are none; null for what says nothing about the picture. */
  async function understand(wanted: Wanted): Promise<Understood | null> {
    // Beside the fetch, since it takes as long.
    reader?.warm();
    const source = await wanted.bytes();
    if (stopping.signal.aborted) return null;
    if (source.status !== 'ok') {
      const { status, retryMs, detail } = source;
      return { entry: { status }, retryMs, detail };
    }
    try {
      const decoded = await timed('decode_image', () => decoder.decode(source.bytes));
      if (decoded.status !== 'ok') return { entry: { status: decoded.status }, detail: decoded.detail };
      const [features, words] = await Promise.all([
        extractor.extract(decoded.pixels),
        reader && decoded.grey ? reader.read(decoded.grey) : null,
      ]);
      if (failing) emit({ type: 'degraded', reason: 'pictures', on: false });
      failing = false;
      if (features === null) return { entry: { status: 'unreadable' }, detail: 'the model makes nothing of it' };
      const size = { width: decoded.width, height: decoded.height };
      if (reader === null) return { entry: { status: 'used', features }, size };
      if (words === null) return { entry: { status: 'used', features }, size, retryMs: WORDLESS_MS };
      return { entry: { status: 'used', features: { ...features, words } }, size };
    } catch (error) {
      failed(error);
      return null;
    }
  }

  /** Decoder or vision model do not run at all, which is no fault of any picture: said once. */
  function failed(error: unknown): void {
    if (failing || stopping.signal.aborted) return;
    failing = true;
    emit({ type: 'degraded', reason: 'pictures', on: true });
    const { code, message } = asMnerError(error);
    emit({
      type: 'note',
      level: 'error',
      message: 'Pictures cannot be read and are left out.',
      detail: { code, message },
    });
  }

  /** Whether there is neither a place nor room in the queue for one. */
  const overloaded = () => slots.load >= concurrency + maxWaiting;

  function begin(wanted: Wanted): Flight {
    let kept: Promise<void> | null = null;
    let end: () => Promise<void> = async () => {};
    const forget = () => {
      if (flights.get(wanted.key) === flight) flights.delete(wanted.key);
    };
    /** Forgotten in the same turn, so that the next tweet with this picture begins anew rather than share this answer. */
    const giveUp = (look: Look): Look => {
      forget();
      return look;
    };

    async function run(): Promise<Look> {
      const turn = await takeTurn(turns, wanted.key, () => flight.waiters > 0, overloaded, stopping.signal);
      if (turn.kind === 'known') return { ...turn.entry, cache: 'hit' };
      if (turn.kind === 'shed') return giveUp(SKIPPED);
      if (turn.kind === 'unwanted') return giveUp(stopping.signal.aborted ? SKIPPED : TIMED_OUT);
      end = turn.end;
      // Once more: hundreds may have come this far at once.
      if (overloaded()) return giveUp(SKIPPED);
      const release = await slots.take(stopping.signal);
      if (release === null) return SKIPPED;
      try {
        // All its tweets went on without it while it stood in the queue.
        if (flight.waiters === 0) return giveUp(TIMED_OUT);
        const understood = await understand(wanted);
        if (understood === null) return SKIPPED;
        const { entry, size, retryMs, detail } = understood;
        kept = store.remember(wanted.key, entry, retryMs);
        if (entry.status !== 'used') return { ...entry, cache: 'miss', detail };
        return { ...entry, cache: 'miss', ...(size && { size }) };
      } finally {
        release();
      }
    }

    const look = run().catch((error: unknown): Look => {
      const { code, message } = asMnerError(error);
      emit({ type: 'note', level: 'error', message: 'A picture could not be looked at.', detail: { code, message } });
      return SKIPPED;
    });
    async function land(): Promise<void> {
      if (kept === null) {
        forget();
        return end();
      }
      // In one turn, so that both are on their way at once. The cache takes them in this order: who has the lease next finds
      // the value.
      await Promise.all([kept.catch(() => {}), end()]);
      // Only now: a tweet that came before would have found neither the flight nor the value.
      forget();
    }

    const landed = look.then(land);
    const flight: Flight = { look, waiters: 0 };
    flights.set(wanted.key, flight);
    inTheAir.add(landed);
    void landed.then(() => inTheAir.delete(landed));
    return flight;
  }

  /** The look, or `timed_out` once the tweet waits no longer: for its picture, or at all. */
  function within(look: Promise<Look>, budgetEnds: number, signal: AbortSignal, left: () => void): Promise<Look> {
    return new Promise((resolve) => {
      let waits = true;
      const settle = (outcome: Look) => {
        if (!waits) return;
        waits = false;
        left();
        timer.cancel();
        signal.removeEventListener('abort', giveUp);
        resolve(outcome);
      };
      const giveUp = () => settle(TIMED_OUT);
      const timer = clock.after(Math.max(0, budgetEnds - clock.now()), giveUp);
      signal.addEventListener('abort', giveUp, { once: true });
      if (signal.aborted) giveUp();
      void look.then(settle);
    });
  }

  function board(wanted: Wanted, budgetEnds: number, signal: AbortSignal): Promise<Look> {
    const flight = flights.get(wanted.key) ?? begin(wanted);
    flight.waiters += 1;
    return within(flight.look, budgetEnds, signal, () => {
      flight.waiters -= 1;
    });
  }

  async function lookAt(photo: Photo, signal: AbortSignal): Promise<Look> {
    if (stopping.signal.aborted) return SKIPPED;
    const budgetEnds = clock.now() + budgetMs;
    const follow = async (meant: Meant): Promise<Look> => {
      if (meant === null) return NONE;
      if ('status' in meant) return { status: meant.status, cache: null, detail: meant.detail };
      return board(meant, budgetEnds, signal);
    };
    const meant = meaningOf(photo);
    // A file, on a disk that may hang as an origin does.
    if (meant instanceof Promise) return within(meant.then(follow), budgetEnds, signal, () => {});
    return follow(meant);
  }

  return {
    async look(photo, signal) {
      const look = photo ? await lookAt(photo, signal) : NONE;
      if (look.status !== 'none') emit({ type: 'image', status: look.status });
      return look;
    },
    async bytes(photo) {
      const meant = await meaningOf(photo);
      return meant !== null && 'key' in meant ? meant.bytes() : meant;
    },
    async stop() {
      stopping.abort();
      // Together: a picture that spins in the decoder must not hold up the end.
      await Promise.all([decoder.stop(), reader?.stop(), ...inTheAir]);
    },
  };
}
