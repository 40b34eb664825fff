import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Config } from '../../config/schema.js';
import { MnerError } from '../../errors.js';
import { memoryCache } from '../../image/cache/memory.js';
import type { Features, Look } from '../../image/port.js';
import { joinWords, type LabelledTweet, toStretches } from '../../ner/conll.js';
import type { Chunk } from '../../ner/crf.js';
import type { Answer } from '../../ner/slices.js';
import { chunksOf } from '../../ner/spans.js';
import { createTelemetry } from '../../telemetry/telemetry.js';
import { splitWords } from '../../text/words.js';
import { openStations, type Stations } from '../../worker.js';
import { progress } from '../print.js';

/** Tweets that are read at once: enough for full batches. */
const AT_ONCE = 512;

export interface ReadOptions {
  /** Folder of the pictures; undefined reads the texts alone. */
  readonly images?: string | undefined;
  /** Caption of each picture by its id, in the place of a description by its author; undefined reads none. */
  readonly captions?: ReadonlyMap<string, string> | undefined;
  /** Whether a bundle that reads no captions is asked all the same, without. @default it is refused */
  readonly orWithout?: boolean;
  /** Joins the words and cuts the text anew. */
  readonly raw: boolean;
}

/** One tweet with what stands in it, counted in both ways, and what the model says. */
export interface Found extends Answer {
  /** Lenient. */
  readonly gold: readonly Chunk[];
  readonly strict: readonly Chunk[];
  readonly told: readonly Chunk[];
  /** Of each told chunk. */
  readonly confidences: readonly number[];
}

export interface ReadTweets {
  readonly model: ReturnType<Stations['model']>;
  /** In the order of the tweets. */
  readonly found: readonly Found[];
  /** Tweets that were read with a caption. */
  readonly captioned: number;
}

const NO_PICTURE: Look = { status: 'none', cache: null };

/** Reads the tweets with the stations of a worker, a bounded number at once. @throws MnerError `bad_bundle`, `bad_input` */
export async function readTweets(
  config: Config,
  tweets: readonly LabelledTweet[],
  options: ReadOptions,
): Promise<ReadTweets> {
  const telemetry = createTelemetry({ log: { level: 'warn' }, nodeMetrics: false });
  const stations = await openStations(config, telemetry, { cache: memoryCache(), allowFiles: true });
  const captions = readsCaptions(stations) ? options.captions : undefined;
  if (options.captions && !captions && !options.orWithout) {
    await stations.stop();
    telemetry.stop();
    throw new MnerError(
      'bad_input',
      `--captions needs a bundle that reads descriptions of pictures (context.sources with alt_text in its manifest); ${stations.model().bundle} does not.`,
    );
  }
  const captioned = tweets.filter(({ imageId }) => imageId !== null && captions?.has(imageId)).length;
  const read = options.raw ? readRaw : readGold;
  const bar = progress();
  const found: Found[] = [];
  try {
    for (let start = 0; start < tweets.length; start += AT_ONCE) {
      const some = tweets.slice(start, start + AT_ONCE);
      found.push(...(await Promise.all(some.map((tweet) => read(tweet, stations, config, options)))));
      bar.update(`${config.bundle}: ${found.length} of ${tweets.length} tweets read`);
    }
    return { model: stations.model(), found, captioned };
  } finally {
    bar.done();
    await stations.stop();
    telemetry.stop();
  }
}

/** Reads the file's own words. */
async function readGold(
  tweet: LabelledTweet,
  stations: Stations,
  _config: Config,
  options: ReadOptions,
): Promise<Found> {
  const { look, picture } = await pictureOf(tweet, stations, options);
  const context = contextOf(tweet, look, stations, options);
  const { chunks, confidences } = await stations.reader.read(tweet.words, picture, { context });
  return {
    words: tweet.words,
    gold: chunksOf(tweet.labels, true),
    strict: chunksOf(tweet.labels, false),
    told: chunks,
    confidences,
    surfaceOf: ({ from, to }) => tweet.words.slice(from, to).join(' '),
    pictured: picture !== null,
  };
}

/** Reads the joined text with words of our own cutting; both sides are then stretches of that text. */
async function readRaw(tweet: LabelledTweet, stations: Stations, config: Config, options: ReadOptions): Promise<Found> {
  const { text, places } = joinWords(tweet.words);
  const words = splitWords(text, config.mentions);
  const { look, picture } = await pictureOf(tweet, stations, options);
  const { chunks, confidences } = await stations.reader.read(
    words.map((word) => word.text),
    picture,
    { context: contextOf(tweet, look, stations, options) },
  );
  return {
    words: tweet.words,
    gold: toStretches(chunksOf(tweet.labels, true), places),
    strict: toStretches(chunksOf(tweet.labels, false), places),
    told: toStretches(chunks, words),
    confidences,
    surfaceOf: ({ from, to }) => text.slice(from, to),
    pictured: picture !== null,
  };
}

async function pictureOf(
  { imageId }: LabelledTweet,
  { images }: Stations,
  options: ReadOptions,
): Promise<{ readonly look: Look; readonly picture: Features | null }> {
  if (options.images === undefined || imageId === null) return { look: NO_PICTURE, picture: null };
  const look = await images.look(
    { url: pathToFileURL(resolve(options.images, `${imageId}.jpg`)).href },
    new AbortController().signal,
  );
  if (look.status === 'timed_out' || look.status === 'skipped') {
    throw new MnerError('bad_input', `The picture of ${imageId} was ${look.status}; raise --image-budget-ms.`);
  }
  return { look, picture: look.status === 'used' ? look.features : null };
}

/** What the model reads beside the tweet: the caption stands for its author's description. */
function contextOf({ imageId }: LabelledTweet, look: Look, { sight }: Stations, { captions }: ReadOptions): string {
  return sight.contextOf(look, imageId === null ? undefined : captions?.get(imageId));
}

function readsCaptions({ models }: Stations): boolean {
  return models.ner.manifest.context?.sources.includes('alt_text') === true;
}
