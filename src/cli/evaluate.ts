import { readFileSync, statSync } from 'node:fs';
import type { Command } from 'commander';
import { MnerError } from '../errors.js';
import { detectMentions, type LabelledTweet, readConll } from '../ner/conll.js';
import { entityName, type Seen } from '../ner/slices.js';
import { chunksOf } from '../ner/spans.js';
import { readCaptions } from './evaluate/captions.js';
import { againstOf, evaluationOf } from './evaluate/evaluation.js';
import { type ReadOptions, readTweets } from './evaluate/read.js';
import { formatEvaluation } from './evaluate/report.js';
import { numberOption } from './options.js';
import { printLine, say } from './print.js';
import { patientSettingsOf } from './settings.js';

interface EvaluateOptions {
  readonly data: string;
  readonly images?: string;
  readonly captions?: string;
  /** False for `--no-image`. */
  readonly image: boolean;
  readonly raw?: boolean;
  readonly mentions: string;
  readonly train?: string;
  readonly against?: string;
  readonly samples: string;
  readonly seed: string;
  readonly json?: boolean;
}

/** `mner evaluate`: the stations of the worker on labelled tweets, scored as published (lenient) and strictly. */
export async function evaluate(command: Command): Promise<void> {
  const options = command.opts<EvaluateOptions>();
  if (options.images !== undefined && !statSync(options.images, { throwIfNoEntry: false })?.isDirectory()) {
    throw new MnerError('bad_input', `The folder of pictures ${options.images} does not exist.`);
  }
  const sampling = {
    samples: Math.trunc(numberOption('--samples', options.samples, 100, 100_000)),
    seed: Math.trunc(numberOption('--seed', options.seed, 0, 2 ** 32 - 1)),
  };
  const captions = captionsOf(options);
  const tweets = readLabelled(options.data);
  const seen = options.train === undefined ? null : seenIn(readLabelled(options.train));
  const mentions = mentionsOf(options.mentions, tweets);
  const how = { images: options.image ? options.images : undefined, captions, raw: options.raw === true };
  const read = (more: Partial<ReadOptions> = {}, overrides: Readonly<Record<string, unknown>> = {}) => {
    const own = { mentions, redis_url: null, repeat_cache_bytes: 0, ...overrides };
    return readTweets(patientSettingsOf(command, own).config, tweets, { ...how, ...more });
  };
  const { found, model, captioned } = await read();
  const other = options.against === undefined ? null : await read({ orWithout: true }, { bundle: options.against });
  const result = {
    ...evaluationOf(found, seen, sampling),
    ...(other && { against: againstOf(found, { bundle: other.model.bundle, found: other.found }, sampling) }),
  };
  if (options.json) return printLine(JSON.stringify(result));
  const pictures = found.filter(({ pictured }) => pictured).length;
  const seenAs = captions ? `${captioned} with a caption` : `${pictures} with a picture`;
  if (other && captions && other.captioned === 0)
    say(`${other.model.bundle} reads no captions: it read the texts alone.`);
  say(`${tweets.length} tweets, ${seenAs}, bundle ${model.bundle}, mentions ${mentions}`);
  await printLine(formatEvaluation(result, model.bundle));
}

function captionsOf({ captions, image }: EvaluateOptions): ReadonlyMap<string, string> | undefined {
  if (captions === undefined) return undefined;
  if (!image) throw new MnerError('bad_input', '--captions and --no-image exclude each other.');
  return readCaptions(readInput(captions));
}

/** The entities of the training data. */
function seenIn(tweets: readonly LabelledTweet[]): Seen {
  return new Set(
    tweets.flatMap(({ words, labels }) =>
      chunksOf(labels).map(({ type, from, to }) => entityName(type, words.slice(from, to).join(' '))),
    ),
  );
}

function readLabelled(file: string): LabelledTweet[] {
  const tweets = readConll(readInput(file));
  if (tweets.length === 0) throw new MnerError('bad_input', `The file ${file} holds no labelled tweet in CoNLL form.`);
  return tweets;
}

function readInput(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    throw new MnerError('bad_input', `The file ${file} cannot be read.`);
  }
}

function mentionsOf(how: string, tweets: readonly LabelledTweet[]): 'ignore' | 'entity' {
  if (how === 'auto') return detectMentions(tweets);
  if (how === 'ignore' || how === 'entity') return how;
  throw new MnerError('bad_input', `--mentions takes auto, ignore or entity, not ${JSON.stringify(how)}.`);
}
