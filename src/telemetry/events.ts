/** What became of a tweet's picture. Anything but `used` means that the tweet was read as text only. */
export const IMAGE_STATUSES = [
  'used',
  'none',
  'unreachable',
  'refused',
  'not_found',
  'too_large',
  'unreadable',
  'timed_out',
  'rate_limited',
  'skipped',
] as const;
export type ImageStatus = (typeof IMAGE_STATUSES)[number];

/** What came of asking an origin for a picture. */
export type FetchOutcome = 'ok' | Exclude<ImageStatus, 'used' | 'none' | 'skipped'>;

/**
 * Everything that the worker tells about itself, as typed events. Business code emits; only this room knows metrics and
 * logs. No event carries a tweet's text or a full URL.
 */
export type Event =
  | { readonly type: 'tweet'; readonly outcome: 'output' | 'dead_letter' | 'tombstone' | 'retry' }
  | { readonly type: 'dead_letter'; readonly code: string }
  | { readonly type: 'entities'; readonly types: readonly string[] }
  | { readonly type: 'end_to_end'; readonly seconds: number }
  | { readonly type: 'stage'; readonly stage: Stage; readonly seconds: number }
  | {
      readonly type: 'batch';
      readonly tweets: number;
      /** Pieces without padding. */
      readonly tokens: number;
      /** Padding pieces among all pieces, 0 to 1. */
      readonly padding: number;
    }
  /** A batch that failed is run again: `whole` as it was, then, when that fails too, `bisected`. */
  | { readonly type: 'batch_retry'; readonly how: 'whole' | 'bisected' }
  | { readonly type: 'queued'; readonly tweets: number; readonly bundle?: string }
  | { readonly type: 'inflight'; readonly bytes: number }
  | { readonly type: 'image_cache'; readonly result: 'hit' | 'miss' | 'negative' | 'corrupt' | 'error' }
  | { readonly type: 'image_fetch'; readonly outcome: FetchOutcome }
  /** A tweet with a picture was answered. */
  | { readonly type: 'image'; readonly status: ImageStatus }
  /** Photos of a tweet beside the one that counts. */
  | { readonly type: 'photos_left'; readonly photos: number }
  /** A host of pictures is left alone for a while: it asked for that, or it failed again and again. */
  | { readonly type: 'image_host_pause'; readonly reason: 'retry_after' | 'failing' }
  /** The words in a picture were asked for. */
  | {
      readonly type: 'image_words';
      readonly result: 'found' | 'none' | 'timed_out' | 'skipped' | 'failed';
    }
  | { readonly type: 'relevance'; readonly value: number }
  /** A text with its picture came up for reading: it was read, joined one that was being read, or was read before. */
  | { readonly type: 'repeat'; readonly result: 'computed' | 'shared' | 'remembered' }
  | {
      readonly type: 'lane';
      readonly topic: string;
      readonly partition: number;
      /** Age of the oldest record that has no acknowledged outcome; 0 when there is none. */
      readonly oldestSeconds: number;
      readonly lag: number;
    }
  | { readonly type: 'lane_lost'; readonly topic: string; readonly partition: number }
  | { readonly type: 'paused'; readonly partitions: number }
  | {
      readonly type: 'offset_reset';
      readonly topic: string;
      readonly partition: number;
      /** What the log does not have, and where reading goes on. */
      readonly from: bigint;
      readonly to: bigint;
      readonly policy: 'earliest' | 'latest';
    }
  | { readonly type: 'rebalance' }
  | { readonly type: 'transaction'; readonly result: 'committed' | 'aborted' | 'unknown' }
  | { readonly type: 'inference_restart' }
  /** An inference process holds its models, at its start or again after a death, on this execution provider. */
  | { readonly type: 'inference_ready'; readonly provider: string }
  /** A decoding process ended under a picture, or while it had nothing to do; the next picture starts another. */
  | { readonly type: 'decoder_end'; readonly reason: 'crashed' | 'timed_out' | 'memory' }
  | {
      readonly type: 'degraded';
      readonly reason: 'cache' | 'provider' | 'pictures' | 'delivery' | 'reload';
      readonly on: boolean;
    }
  /** A bundle is in use from now on. */
  | { readonly type: 'model'; readonly bundle: string; readonly version: string; readonly provider: string }
  /** It is not any more, or not on this execution provider. */
  | { readonly type: 'model_gone'; readonly bundle: string; readonly version: string; readonly provider: string }
  /** A bundle has read a tweet, or could not. */
  | {
      readonly type: 'bundle_tweet';
      readonly bundle: string;
      readonly result: 'read';
      /** Of its entities. */
      readonly types: readonly string[];
      readonly relevance: number | null;
    }
  | { readonly type: 'bundle_tweet'; readonly bundle: string; readonly result: 'poison' }
  | { readonly type: 'bundle_inference'; readonly bundle: string; readonly seconds: number }
  | { readonly type: 'reload'; readonly result: 'done' | 'unchanged' | 'failed' }
  /** Something for people to read, not counted. */
  | {
      readonly type: 'note';
      readonly level: 'info' | 'warn' | 'error';
      readonly message: string;
      readonly detail?: object;
    };

export const STAGES = [
  'parse',
  'cache_get',
  'fetch',
  'decode_image',
  'image_features',
  'image_words',
  'tokenize',
  'queue',
  'inference',
  'crf',
  'publish',
  'commit',
] as const;
export type Stage = (typeof STAGES)[number];

export type Emit = (event: Event) => void;

/** For where nobody listens. */
export const silent: Emit = () => {};
