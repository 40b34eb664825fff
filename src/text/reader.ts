import type { Clock } from '../clock.js';
import type { Priority } from '../inference/batch-queue.js';
import type { NerModel } from '../inference/model.js';
import type { PictureInput } from '../inference/row.js';
import { type Chunk, type Crf, type CrfOptions, type CrfScores, createCrf } from '../ner/crf.js';
import { chunksOf } from '../ner/spans.js';
import type { Emit } from '../telemetry/events.js';
import type { Encoder } from './encode.js';
import { mergeWindows } from './merge.js';

/** What the model makes of a text, in words. */
export interface Reading {
  readonly chunks: readonly Chunk[];
  /** Probability of each chunk. */
  readonly confidences: readonly number[];
  /** Probability that the picture belongs to the text; null without a picture, or without such a gate. */
  readonly relevance: number | null;
  /** Weight of each grid cell, each object and the scene (docs/bundles.md); null where `relevance` is, and for a text of several windows. */
  readonly regions: Float32Array | null;
  /** Parts in which the text was read; 0 for a text without words. */
  readonly windows: number;
}

/** What a reading may be asked for beside words and picture. */
export interface ReadOptions {
  /** Text to read after the words, without labels; see `context.ts`. @default '' */
  readonly context?: string;
  /** @default 'live' */
  readonly priority?: Priority | undefined;
  /** Aborts when nobody waits for the reading any more: what has not begun is left. */
  readonly signal?: AbortSignal | undefined;
}

/** Reads words: encodes them, waits for their batch, decodes. What an answer depends on belongs into the key of `repeats.ts`. */
export interface Reader {
  /** @throws MnerError `inference_poison`, `inference_unavailable` */
  read(words: readonly string[], picture: PictureInput | null, options?: ReadOptions): Promise<Reading>;
}

export interface ReaderParts {
  readonly encoder: Encoder;
  readonly model: NerModel;
  readonly head: CrfScores & CrfOptions;
  readonly clock: Clock;
  readonly emit: Emit;
}

export function createReader({ encoder, model, head, clock, emit }: ReaderParts): Reader {
  const crf: Crf = createCrf(head, head);

  const timed = <T>(stage: 'tokenize' | 'crf', work: () => T): T => {
    const start = clock.now();
    const result = work();
    emit({ type: 'stage', stage, seconds: (clock.now() - start) / 1000 });
    return result;
  };

  return {
    async read(words, picture, { context, priority, signal } = {}) {
      const tweet = timed('tokenize', () => encoder.encode(words, context));
      const results = await Promise.all(tweet.windows.map((window) => model.read(window, picture, priority, signal)));
      return timed('crf', () => {
        const { emissions, relevance, regions } = mergeWindows(tweet, results);
        const chunks = chunksOf(Array.from(crf.viterbi(emissions), (label) => head.labels[label] as string));
        const confidences = crf.probabilities(emissions, chunks);
        return { chunks, confidences, relevance, regions, windows: tweet.windows.length };
      });
    },
  };
}
