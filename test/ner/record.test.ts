import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { entityRecordSchema, keyOf, type RecordParts, recordJsonSchema, toRecord } from '#mner/ner/record.js';

const parts: RecordParts = {
  tweet: { id: '42', text: 'RT Kobe Bryant 😀' },
  entities: [{ type: 'PER', text: 'Kobe Bryant', start: 3, end: 14, utf16: [3, 14], confidence: 0.973_26 }],
  image: { status: 'used', relevance: 0.83, cache: 'hit' },
  windows: 1,
  model: { family: 'ham', bundle: 'ham-int8', version: '1.0.0', provider: 'cpu' },
  source: { topic: 'tweets', partition: 3, offset: '81231', timestamp: 1_700_000_000_000 },
  processedAt: 1_700_000_000_250,
};

describe('the output record', () => {
  it('is tweet-entities/1', () => {
    expect(toRecord(parts)).toEqual({
      schema: 'tweet-entities/1',
      tweet_id: '42',
      text_length: 16,
      entities: [
        {
          type: 'PER',
          text: 'Kobe Bryant',
          start: 3,
          end: 14,
          utf16: [3, 14],
          confidence: 0.9733,
          key: 'per:kobe bryant',
        },
      ],
      image: { status: 'used', relevance: 0.83, cache: 'hit' },
      model: { family: 'ham', bundle: 'ham-int8', version: '1.0.0', provider: 'cpu' },
      source: { topic: 'tweets', partition: 3, offset: '81231', timestamp: '2023-11-14T22:13:20.000Z' },
      processed_at: '2023-11-14T22:13:20.250Z',
    });
  });

  it('passes on what came, and tells of several windows', () => {
    const tweet = { ...parts.tweet, createdAt: '2020-01-01T00:00:00.000Z', lang: 'en', authorId: '7', retweetOf: '41' };
    expect(toRecord({ ...parts, tweet, windows: 3 })).toMatchObject({
      retweet_of: '41',
      created_at: '2020-01-01T00:00:00.000Z',
      lang: 'en',
      author_id: '7',
      windows: 3,
    });
  });

  it('has no relevance where no picture was used', () => {
    const image = { status: 'not_found', relevance: 0.4, cache: 'miss' } as const;
    expect(toRecord({ ...parts, image }).image).toEqual({ status: 'not_found', relevance: null, cache: 'miss' });
  });

  it('takes any timestamp', () => {
    const source = { ...parts.source, timestamp: Number.NaN };
    expect(toRecord({ ...parts, source }).source.timestamp).toBe('1970-01-01T00:00:00.000Z');
  });

  it('fits its own schema, and the schema refuses what does not', () => {
    const record = toRecord(parts);
    expect(entityRecordSchema.safeParse(record).success).toBe(true);
    expect(entityRecordSchema.safeParse({ ...record, later_field: 1 }).success).toBe(true);
    expect(entityRecordSchema.safeParse({ ...record, tweet_id: 42 }).success).toBe(false);
    expect(entityRecordSchema.safeParse({ ...record, image: { ...record.image, status: 'odd' } }).success).toBe(false);
  });

  it('is described by docs/schemas/tweet-entities-1.json', () => {
    const stored = JSON.parse(readFileSync('docs/schemas/tweet-entities-1.json', 'utf8'));
    expect(stored).toEqual(recordJsonSchema());
  });
});

describe('keyOf', () => {
  it.each([
    ['PER', 'Kobe  BRYANT', 'per:kobe bryant'],
    ['ORG', '#GoLakers', 'org:golakers'],
    ['PER', '@ KobeBryant', 'per:kobebryant'],
    ['PER', '＠Ｋobe\nBryant', 'per:kobe bryant'],
    ['LOC', 'ﬁji', 'loc:fiji'],
    ['MISC', 'Straße', 'misc:straße'],
    ['MISC', '##@x#y', 'misc:x#y'],
  ])('%s %s', (type, surface, key) => {
    expect(keyOf(type, surface)).toBe(key);
  });
});
