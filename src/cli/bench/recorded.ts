import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { MnerError } from '../../errors.js';
import { parseTweet } from '../../tweet/parse.js';
import { drawPicture } from '../demo/pictures.js';
import { SAMPLES } from '../demo/samples.js';
import { readLines } from '../lines.js';
import { tarFiles } from './tar.js';

/** The folder of the test data. */
export const TEST_DATA = process.env.MNER_TEST_DATA || '../shared/data';

export interface RecordedTweet {
  readonly text: string;
  /** A JPEG. */
  readonly picture: Buffer;
}

/** The tweets that the bench measures with. */
export interface Recorded {
  /** Where they come from, for people. */
  readonly source: string;
  readonly tweets: readonly RecordedTweet[];
}

/**
 * Reads the tweets of `file` (any of the three shapes), by default those of the test data, otherwise the demo's samples over and over.
 *
 * @throws MnerError `bad_input` when the file holds no tweet, or a line that is none
 */
export async function readRecorded(file: string | undefined, atLeast: number): Promise<Recorded> {
  if (file !== undefined) {
    const texts: string[] = [];
    for await (const { number, bytes } of readLines(file)) texts.push(textOf(bytes, `${file}, line ${number}`));
    if (texts.length === 0) throw new MnerError('bad_input', `The file ${file} holds no tweet.`);
    return { source: `${texts.length} tweets of ${file}, with drawn pictures`, tweets: await withDrawings(texts) };
  }
  const shard = join(TEST_DATA, 'tweet_images', 'train.tar');
  if (existsSync(shard)) {
    const tweets = readShard(shard);
    return { source: `${tweets.length} tweets of ${shard}`, tweets };
  }
  const texts = Array.from({ length: atLeast }, (_, i) => SAMPLES[i % SAMPLES.length]?.text ?? '');
  const source = `the demo's ${SAMPLES.length} samples, repeated (no test data at ${shard}, no --tweets)`;
  return { source, tweets: await withDrawings(texts) };
}

/** So many of the tweets, taken evenly from all; all where there are no more. */
export function sampleEvenly<T>(all: readonly T[], count: number): T[] {
  if (all.length <= count) return [...all];
  return Array.from({ length: count }, (_, i) => all[Math.floor((i * all.length) / count)] as T);
}

function textOf(bytes: Buffer, where: string): string {
  try {
    return parseTweet(bytes).text;
  } catch (error) {
    throw new MnerError('bad_input', `${where}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Pairs of `NAME.json` and `NAME.jpg`, in any order. */
function readShard(path: string): RecordedTweet[] {
  const texts = new Map<string, string>();
  const pictures = new Map<string, Buffer>();
  for (const { name, bytes } of tarFiles(path)) {
    const base = name.replace(/\.[^.]+$/, '');
    if (name.endsWith('.json')) texts.set(base, (JSON.parse(bytes.toString()) as { text: string }).text);
    else pictures.set(base, bytes);
  }
  return [...texts].flatMap(([base, text]) => {
    const picture = pictures.get(base);
    return picture ? [{ text, picture }] : [];
  });
}

async function withDrawings(texts: readonly string[]): Promise<RecordedTweet[]> {
  const names = SAMPLES.flatMap(({ picture }) => picture ?? []);
  const drawn = await Promise.all(names.map(drawPicture));
  return texts.map((text, i) => ({ text, picture: drawn[i % drawn.length] as Buffer }));
}
