import { type Count, nameOf, type Score, type Stretch, toScore } from './score.js';

/** One labelled tweet, and what a model says of it. */
export interface Answer {
  /** The words of the file. */
  readonly words: readonly string[];
  readonly gold: readonly Stretch[];
  readonly told: readonly Stretch[];
  /** The surface of a stretch of either kind. */
  readonly surfaceOf: (stretch: Stretch) => string;
  /** Whether its picture was used. */
  readonly pictured: boolean;
}

/** A part of the tweets, or of the entities. */
export interface Slice {
  readonly slice: string;
  /** Tweets with something in the slice. */
  readonly tweets: number;
  readonly score: Score;
}

/** Entities by type and surface, in any case. */
export type Seen = ReadonlySet<string>;

/** Tweets whose words are in capitals but for some: the share that also makes one of the encoder's flags. */
const CAPITALS = 0.6;

/**
 * Scores where models are known to differ: entities that the training data hold or do not (when `seen` says), tweets in capitals, with and
 * without a hashtag, with and without a picture.
 */
export function sliceScores(answers: readonly Answer[], seen: Seen | null): Slice[] {
  const byEntity = (slice: string, holds: (name: string) => boolean) =>
    scoreSlice(slice, answers, ({ surfaceOf }, stretch) => holds(entityName(stretch.type, surfaceOf(stretch))));
  const byTweet = (slice: string, holds: (answer: Answer) => boolean) =>
    scoreSlice(slice, answers.filter(holds), () => true, true);
  return [
    ...(seen
      ? [
          byEntity('entities seen in training', (name) => seen.has(name)),
          byEntity('entities unseen in training', (name) => !seen.has(name)),
        ]
      : []),
    byTweet('tweets in capitals', ({ words }) => isShouted(words)),
    byTweet('tweets with a hashtag', ({ words }) => words.some(isHashtag)),
    byTweet('tweets without a hashtag', ({ words }) => !words.some(isHashtag)),
    byTweet('tweets with a picture', ({ pictured }) => pictured),
    byTweet('tweets without a picture', ({ pictured }) => !pictured),
  ];
}

/** What two mentions of an entity share. */
export function entityName(type: string, surface: string): string {
  return `${type} ${surface.toLowerCase()}`;
}

/** More than {@link CAPITALS} of at least two words; mentions, hashtags, links and `RT` do not count. */
export function isShouted(words: readonly string[]): boolean {
  const counted = words.filter((word) => /\p{L}/u.test(word) && !/^(?:[@#]|https?:|www\.|RT$)/i.test(word));
  const upper = counted.filter((word) => /\p{Lu}/u.test(word) && !/[\p{Ll}\p{Lt}]/u.test(word));
  return counted.length > 1 && upper.length / counted.length > CAPITALS;
}

/** Also a lone sign, as corpora have it that cut the sign off. */
function isHashtag(word: string): boolean {
  return /^[#＃](?:[\p{L}\p{N}_]|$)/u.test(word);
}

function scoreSlice(
  slice: string,
  answers: readonly Answer[],
  holds: (answer: Answer, stretch: Stretch) => boolean,
  whole = false,
): Slice {
  const count: Count = { right: 0, gold: 0, told: 0 };
  let tweets = 0;
  for (const answer of answers) {
    const gold = answer.gold.filter((stretch) => holds(answer, stretch));
    const told = answer.told.filter((stretch) => holds(answer, stretch));
    const names = new Set(gold.map(nameOf));
    count.gold += gold.length;
    count.told += told.length;
    count.right += told.filter((stretch) => names.has(nameOf(stretch))).length;
    if (whole || gold.length > 0) tweets++;
  }
  return { slice, tweets, score: toScore(count) };
}
