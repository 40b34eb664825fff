import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Command } from 'commander';
import type { Config } from '../config/schema.js';
import { MnerError } from '../errors.js';
import { memoryCache } from '../image/cache/memory.js';
import type { Features } from '../image/port.js';
import { detectMentions, joinWords, type LabelledTweet, readConll, toStretches } from '../ner/conll.js';
import type { Chunk } from '../ner/crf.js';
import { type Scores, scoreChunks, TYPES } from '../ner/score.js';
import { chunksOf } from '../ner/spans.js';
import { createTelemetry } from '../telemetry/telemetry.js';
import { splitWords } from '../text/words.js';
import { openStations, type Stations } from '../worker.js';
import { formatTable, printLine, progress, say } from './print.js';
import { patientSettingsOf } from './settings.js';

interface EvaluateOptions {
  readonly data: string;
  readonly images?: string;
  readonly captions?: string;
  /** False for `--no-image`. */
  readonly image: boolean;
  readonly raw?: boolean;
  readonly mentions: string;
  readonly json?: boolean;
}

/** Tweets that are read at once: enough for full batches. */
const AT_ONCE = 512;

/** `mner evaluate`: the stations of the worker on labelled tweets, scored as published (lenient) and strictly. */
export async function evaluate(command: Command): Promise<void> {
  const options = command.opts<EvaluateOptions>();
  if (options.captions !== undefined) {
    throw new MnerError(
      'bad_input',
      '--captions needs a family that reads captions, or a bundle of kind bridge; there is none yet.',
    );
  }
  if (options.images !== undefined && !statSync(options.images, { throwIfNoEntry: false })?.isDirectory()) {
    throw new MnerError('bad_input', `The folder of pictures ${options.images} does not exist.`);
  }
  const tweets = readLabelled(options.data);
  const mentions = mentionsOf(options.mentions, tweets);
  const { config } = patientSettingsOf(command, { mentions, redis_url: null, repeat_cache_bytes: 0 });
  const telemetry = createTelemetry({ log: { level: 'warn' }, nodeMetrics: false });
  const stations = await openStations(config, telemetry, { cache: memoryCache(), allowFiles: true });
  try {
    const read = options.raw ? readRaw : readGold;
    const found = await readAll(tweets, (tweet) => read(tweet, stations, config, options));
    const result = {
      tweets: tweets.length,
      lenient: scoreChunks(
        found.map(({ lenient }) => lenient),
        found.map(({ told }) => told),
      ),
      strict: scoreChunks(
        found.map(({ strict }) => strict),
        found.map(({ told }) => told),
      ),
    };
    if (!options.json) {
      const pictures = found.filter(({ pictured }) => pictured).length;
      const { bundle } = stations.model();
      say(`${tweets.length} tweets, ${pictures} with a picture, bundle ${bundle}, mentions ${mentions}`);
    }
    await printLine(options.json ? JSON.stringify(result) : formatScores(result));
  } finally {
    await stations.stop();
    telemetry.stop();
  }
}

/** What stands in one tweet, counted in both ways, and what the model says. */
interface Found {
  readonly lenient: readonly Chunk[];
  readonly strict: readonly Chunk[];
  readonly told: readonly Chunk[];
  /** Whether its picture was used. */
  readonly pictured: boolean;
}

/** Reads the file's own words. */
async function readGold(
  tweet: LabelledTweet,
  stations: Stations,
  _config: Config,
  options: EvaluateOptions,
): Promise<Found> {
  const picture = await pictureOf(tweet, stations, options);
  const { chunks } = await stations.reader.read(tweet.words, picture);
  return {
    lenient: chunksOf(tweet.labels, true),
    strict: chunksOf(tweet.labels, false),
    told: chunks,
    pictured: picture !== null,
  };
}

/** Reads the joined text with words of our own cutting; both sides are then stretches of that text. */
async function readRaw(
  tweet: LabelledTweet,
  stations: Stations,
  config: Config,
  options: EvaluateOptions,
): Promise<Found> {
  const { text, places } = joinWords(tweet.words);
  const words = splitWords(text, config.mentions);
  const picture = await pictureOf(tweet, stations, options);
  const { chunks } = await stations.reader.read(
    words.map((word) => word.text),
    picture,
  );
  return {
    lenient: toStretches(chunksOf(tweet.labels, true), places),
    strict: toStretches(chunksOf(tweet.labels, false), places),
    told: toStretches(chunks, words),
    pictured: picture !== null,
  };
}

async function pictureOf(
  { imageId }: LabelledTweet,
  { images }: Stations,
  options: EvaluateOptions,
): Promise<Features | null> {
  if (!options.image || options.images === undefined || imageId === null) return null;
  const look = await images.look(
    { url: pathToFileURL(resolve(options.images, `${imageId}.jpg`)).href },
    new AbortController().signal,
  );
  if (look.status === 'timed_out' || look.status === 'skipped') {
    throw new MnerError('bad_input', `The picture of ${imageId} was ${look.status}; raise --image-budget-ms.`);
  }
  return look.status === 'used' ? look.features : null;
}

/** Reads the tweets, a bounded number at once, in the order of the file. */
async function readAll(
  tweets: readonly LabelledTweet[],
  read: (tweet: LabelledTweet) => Promise<Found>,
): Promise<Found[]> {
  const bar = progress();
  const found: Found[] = [];
  for (let start = 0; start < tweets.length; start += AT_ONCE) {
    found.push(...(await Promise.all(tweets.slice(start, start + AT_ONCE).map(read))));
    bar.update(`${found.length} of ${tweets.length} tweets read`);
  }
  bar.done();
  return found;
}

function readLabelled(file: string): LabelledTweet[] {
  let content: string;
  try {
    content = readFileSync(file, 'utf8');
  } catch {
    throw new MnerError('bad_input', `The file ${file} cannot be read.`);
  }
  const tweets = readConll(content);
  if (tweets.length === 0) throw new MnerError('bad_input', `The file ${file} holds no labelled tweet in CoNLL form.`);
  return tweets;
}

function mentionsOf(how: string, tweets: readonly LabelledTweet[]): 'ignore' | 'entity' {
  if (how === 'auto') return detectMentions(tweets);
  if (how === 'ignore' || how === 'entity') return how;
  throw new MnerError('bad_input', `--mentions takes auto, ignore or entity, not ${JSON.stringify(how)}.`);
}

function formatScores({ lenient, strict }: { lenient: Scores; strict: Scores }): string {
  const rows = [...TYPES, 'all'].flatMap((type) =>
    (['lenient', 'strict'] as const).map((way) => {
      const scores = way === 'lenient' ? lenient : strict;
      return { type, way, score: type === 'all' ? scores.micro : scores.by_type[type] };
    }),
  );
  return formatTable(rows, [
    { title: 'TYPE', of: ({ type }) => type },
    { title: 'CHUNKS', of: ({ way }) => way },
    { title: 'PRECISION', of: ({ score }) => score?.precision.toFixed(2) ?? '', align: 'right' },
    { title: 'RECALL', of: ({ score }) => score?.recall.toFixed(2) ?? '', align: 'right' },
    { title: 'F1', of: ({ score }) => score?.f1.toFixed(2) ?? '', align: 'right' },
    { title: 'SUPPORT', of: ({ score }) => score?.support ?? 0, align: 'right' },
  ]);
}
