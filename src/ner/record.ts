import { z } from 'zod';
import { IMAGE_STATUSES } from '../telemetry/events.js';
import { codePoints, type Entity } from './spans.js';

const share = z.number().min(0).max(1);
const count = z.number().int().nonnegative();

const entity = z
  .object({
    type: z.string().describe('PER, LOC, ORG or MISC'),
    text: z.string().describe('The exact slice of the text as it came'),
    start: count.describe('First code point'),
    end: count.describe('The code point after the last'),
    utf16: z.tuple([count, count]).describe('The same two in UTF-16 units'),
    confidence: share.describe('Marginal probability of exactly this span'),
    key: z.string().describe('Lower-case type, a colon, and the surface in a normal form: what to join by'),
  })
  .meta({ id: 'entity' });

/** The output record. Readers must ignore fields that they do not know. */
export const entityRecordSchema = z.object({
  schema: z.literal('tweet-entities/1'),
  tweet_id: z.string(),
  text_length: count.describe('Code points of the text as it came'),
  retweet_of: z.string().optional().describe('Id of the original, which was read in place of the retweet'),
  created_at: z.string().optional().describe('RFC 3339, UTC'),
  lang: z.string().optional(),
  author_id: z.string().optional(),
  entities: z.array(entity).describe('In the order of the text; they never overlap'),
  image: z.object({
    status: z.enum(IMAGE_STATUSES).describe('Anything but used: the tweet was read as text only'),
    relevance: share.nullable().describe('Probability that the picture belongs to the text'),
    cache: z.enum(['hit', 'miss']).nullable(),
  }),
  windows: z.number().int().min(2).optional().describe('Parts in which a long text was read'),
  model: z.object({ family: z.string(), bundle: z.string(), version: z.string(), provider: z.string() }),
  source: z
    .object({
      topic: z.string(),
      partition: count,
      offset: z.string(),
      timestamp: z.string().describe('RFC 3339, UTC'),
    })
    .describe('The input record'),
  processed_at: z.string().describe('RFC 3339, UTC'),
});

export type EntityRecord = z.infer<typeof entityRecordSchema>;

/** What a record is made of. */
export interface RecordParts {
  readonly tweet: {
    readonly id: string;
    /** As it came. */
    readonly text: string;
    readonly createdAt?: string;
    readonly lang?: string;
    readonly authorId?: string;
    readonly retweetOf?: string;
  };
  readonly entities: readonly Entity[];
  readonly image: EntityRecord['image'];
  /** Parts in which the text was read. */
  readonly windows: number;
  readonly model: EntityRecord['model'];
  readonly source: {
    readonly topic: string;
    readonly partition: number;
    readonly offset: string;
    /** Milliseconds since 1970. */
    readonly timestamp: number;
  };
  /** Milliseconds since 1970. */
  readonly processedAt: number;
}

/** The record `tweet-entities/1` of one tweet. */
export function toRecord({ tweet, entities, image, windows, model, source, processedAt }: RecordParts): EntityRecord {
  return {
    schema: 'tweet-entities/1',
    tweet_id: tweet.id,
    text_length: codePoints(tweet.text),
    ...(tweet.retweetOf !== undefined && { retweet_of: tweet.retweetOf }),
    ...(tweet.createdAt !== undefined && { created_at: tweet.createdAt }),
    ...(tweet.lang !== undefined && { lang: tweet.lang }),
    ...(tweet.authorId !== undefined && { author_id: tweet.authorId }),
    entities: entities.map((entity) => ({
      type: entity.type,
      text: entity.text,
      start: entity.start,
      end: entity.end,
      utf16: [entity.utf16[0], entity.utf16[1]],
      confidence: round(entity.confidence),
      key: keyOf(entity.type, entity.text),
    })),
    image: {
      status: image.status,
      relevance: image.status === 'used' && image.relevance !== null ? round(image.relevance) : null,
      cache: image.cache,
    },
    ...(windows > 1 && { windows }),
    model,
    source: { ...source, timestamp: time(source.timestamp) },
    processed_at: time(processedAt),
  };
}

/** What consumers join mentions by: `per:kobe bryant`, whether the tweet wrote `Kobe  BRYANT` or `#kobe bryant`. */
export function keyOf(type: string, surface: string): string {
  const name = surface.normalize('NFKC').toLowerCase().replace(/\s+/g, ' ').trim();
  return `${type.toLowerCase()}:${name.replace(/^[@# ]+/, '')}`;
}

/** The record's JSON Schema, as it stands in `docs/schemas/tweet-entities-1.json`. */
export function recordJsonSchema(): object {
  return {
    ...z.toJSONSchema(entityRecordSchema, { io: 'input' }),
    title: 'tweet-entities/1',
    description: 'The entities that a tweet mentions. Readers must ignore fields that they do not know.',
  };
}

function round(value: number): number {
  return Math.round(value * 1e4) / 1e4;
}

/** Kafka gives -1 for a record without a time, and a broken producer may give anything: then it is the epoch. */
function time(ms: number): string {
  return new Date(ms >= 0 && ms <= 8.64e15 ? ms : 0).toISOString();
}
