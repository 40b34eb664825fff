import type { Clock } from './clock.js';
import { asMnerError, MnerError } from './errors.js';
import type { Look } from './image/port.js';
import type { Priority } from './inference/batch-queue.js';
import type { Door } from './inference/door.js';
import type { EntityRecord } from './ner/record.js';
import { toRecord } from './ner/record.js';
import { placeChunks } from './ner/spans.js';
import type { Roster } from './serving/roster.js';
import type { ServedModel } from './serving/served-model.js';
import type { Explanation } from './serving/sight.js';
import { DEAD_LETTER_HEADERS } from './stream/dead-letter.js';
import { headerText, textHeader, withoutHeaders } from './stream/headers.js';
import type { Outcome, Process } from './stream/outcome.js';
import type { Headers, InputRecord } from './stream/port.js';
import { atSource, mayRetry, type RetryTopic } from './stream/retry-topic.js';
import type { Emit } from './telemetry/events.js';
import { continueTrace } from './telemetry/trace.js';
import type { ReadOptions } from './text/reader.js';
import { type Mentions, splitWords, type Word } from './text/words.js';
import { parseTweet } from './tweet/parse.js';
import { describedAs, type Tweet, usablePhoto } from './tweet/tweet.js';

type Served = Pick<ServedModel, 'images' | 'sight' | 'reader' | 'model'>;

export interface PipelineParts {
  /** The models that read; a tweet is with one of them from its parsing to its record. */
  readonly roster: Pick<Roster<Served>, 'lease' | 'stable'>;
  readonly mentions: Mentions;
  /** Bounds the texts that wait for the model, in UTF-16 units. */
  readonly door: Door;
  /** The class of what comes from a topic. */
  readonly priorityOf: (topic: string) => Priority;
  /** Whether each mention gets a record of its own. */
  readonly eachMention: boolean;
  /** Whether a record says why, in a field `explain` of its own. @default false */
  readonly explain?: boolean | undefined;
  /** Where records that failed for now come from once more. @default there is none */
  readonly retry?: RetryTopic | undefined;
  /** Whether a tweet of this topic is put off by way of it, when its picture cannot be had for now. */
  readonly putsOff: (topic: string) => boolean;
  readonly clock: Clock;
  readonly emit: Emit;
}

/** A record, with why it says what it says where that was asked for. */
export type Explained = EntityRecord & { readonly explain?: Explanation };

/** Headers that we set; those that came with the same names are replaced. */
const OURS: ReadonlySet<string> = new Set([
  'mner-schema',
  'mner-model',
  'mner-source',
  'traceparent',
  // Of a record that failed before.
  ...DEAD_LETTER_HEADERS,
]);

/** What became of a picture that may be had later. Not `skipped`: this worker has too much to do as it is. */
const FOR_NOW: ReadonlySet<Look['status']> = new Set(['unreachable', 'timed_out', 'rate_limited']);

const SCHEMA: ReadonlySet<string> = new Set(['mner-schema']);

/** The way of one tweet, station by station: bytes, tweet, picture, words, entities, record. */
export function createPipeline(parts: PipelineParts): Process {
  const { roster, mentions, door, priorityOf, retry, putsOff, eachMention, explain = false, clock, emit } = parts;

  async function readTweet(tweet: Tweet, source: InputRecord, signal: AbortSignal): Promise<Explained> {
    if (tweet.photos.length > 1) emit({ type: 'photos_left', photos: tweet.photos.length - 1 });
    const { model: served, end } = roster.lease(tweet.id);
    try {
      const look = await served.images.look(usablePhoto(tweet), signal);
      // Given up, not timed out: nobody may take that for what became of the picture.
      signal.throwIfAborted();
      if (retry && FOR_NOW.has(look.status) && putsOff(source.topic) && mayRetry(source, retry))
        throw new MnerError('picture_unavailable', `The picture could not be had for now (${look.status}).`);
      // Its partition may go to somebody else while it waits; reading it then would hold up what is ours.
      const priority = priorityOf(source.topic);
      const context = served.sight.contextOf(look, describedAs(tweet));
      const leave = await door.enter(tweet.text.length + context.length, priority, signal);
      try {
        return await readWords(served, tweet, source, look, { context, priority, signal });
      } finally {
        leave();
      }
    } catch (error) {
      const { bundle } = served.model();
      if (asMnerError(error).code === 'inference_poison') emit({ type: 'bundle_tweet', bundle, result: 'poison' });
      throw error;
    } finally {
      end();
    }
  }

  async function readWords(
    { reader, model, sight }: Served,
    tweet: Tweet,
    source: InputRecord,
    look: Look,
    options: ReadOptions & { readonly context: string },
  ): Promise<Explained> {
    const words = displayedWords(tweet, mentions);
    const reading = await reader.read(
      words.map((word) => word.text),
      look.status === 'used' ? look.features : null,
      options,
    );
    if (reading.relevance !== null) emit({ type: 'relevance', value: reading.relevance });
    const { relevance } = reading;
    emit({
      type: 'bundle_tweet',
      bundle: model().bundle,
      result: 'read',
      types: reading.chunks.map(({ type }) => type),
      relevance,
    });
    const record = toRecord({
      tweet,
      entities: placeChunks(reading.chunks, reading.confidences, words, tweet.text),
      image: { status: look.status, relevance: reading.relevance, cache: look.cache },
      windows: reading.windows,
      model: model(),
      source: placeOf(atSource(source, retry)),
      processedAt: clock.wall(),
    });
    return explain ? { ...record, explain: sight.explain(look, options.context, reading.regions) } : record;
  }

  function outputOf(record: Explained, source: InputRecord): Outcome {
    const headers = outputHeaders(atSource(source, retry), record.model);
    const value = Buffer.from(JSON.stringify(record));
    if (!eachMention) return { kind: 'output', value, headers };
    const { tweet_id, entities, source: from, processed_at } = record;
    const ofMention = [...withoutHeaders(headers, SCHEMA), textHeader('mner-schema', 'tweet-mention/1')];
    return {
      kind: 'output',
      value,
      headers,
      mentions: entities.map((entity) => ({
        key: Buffer.from(entity.key),
        value: Buffer.from(
          JSON.stringify({ schema: 'tweet-mention/1', tweet_id, ...entity, source: from, processed_at }),
        ),
        headers: ofMention,
      })),
    };
  }

  return async (record, signal) => {
    if (record.value === null)
      return { kind: 'output', value: null, headers: outputHeaders(atSource(record, retry), roster.stable.model()) };
    const start = clock.now();
    try {
      const tweet = parseTweet(record.value);
      emit({ type: 'stage', stage: 'parse', seconds: (clock.now() - start) / 1000 });
      const result = await readTweet(tweet, record, signal);
      emit({ type: 'entities', types: result.entities.map((entity) => entity.type) });
      return outputOf(result, record);
    } catch (error) {
      if (error instanceof MnerError && error.class === 'poison') return { kind: 'dead_letter', error };
      // Not tried again in place: the fetch has had its time, and the record would hold up those behind it.
      if (error instanceof MnerError && error.code === 'picture_unavailable') return { kind: 'retry', error };
      throw error;
    }
  };
}

function placeOf({ topic, partition, offset, timestamp }: InputRecord) {
  return { topic, partition, offset: String(offset), timestamp };
}

/** The words of what X displays, with their places in the whole text. */
function displayedWords({ text, displayed: [start, end] }: Tweet, mentions: Mentions): Word[] {
  if (start === 0) return splitWords(text.slice(0, end), mentions);
  return splitWords(text.slice(start, end), mentions).map((word) => ({
    text: word.text,
    start: word.start + start,
    end: word.end + start,
  }));
}

function outputHeaders(record: InputRecord, { bundle, version }: EntityRecord['model']): Headers {
  const trace = continueTrace(headerText(record.headers, 'traceparent') ?? '');
  return [
    ...withoutHeaders(record.headers, OURS),
    ...(trace === null ? [] : [textHeader('traceparent', trace)]),
    textHeader('mner-schema', 'tweet-entities/1'),
    textHeader('mner-model', `${bundle}@${version}`),
    textHeader('mner-source', `${record.topic}/${record.partition}/${record.offset}`),
  ];
}
