import { describe, expect, it } from 'vitest';
import { parseTweet } from '#mner/tweet/parse.js';
import { usablePhoto } from '#mner/tweet/tweet.js';
import { seen } from '../support/seen.js';

const parse = (value: unknown) => parseTweet(Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)));

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return (error as { code: string }).code;
  }
  return 'none';
}

describe('the native shape', () => {
  it('is read with its photos and what passes through', () => {
    const tweet = parse({
      id: '42',
      text: 'Kobe Bryant in Los Angeles',
      created_at: '2026-01-02T03:04:05+01:00',
      lang: 'en',
      author_id: '7',
      media: [
        { type: 'video', url: 'https://example.com/v.mp4' },
        { type: 'photo', alt_text: 'a description alone' },
        { type: 'photo', url: 'https://example.com/a.jpg', alt_text: 'a court' },
      ],
    });
    expect(tweet).toMatchObject({
      id: '42',
      createdAt: '2026-01-02T02:04:05.000Z',
      lang: 'en',
      authorId: '7',
      displayed: [0, 26],
    });
    expect(usablePhoto(tweet)).toEqual({ url: 'https://example.com/a.jpg', altText: 'a court' });
  });

  it('passes over a photo with an empty URL', () => {
    const tweet = parse({ id: '1', text: 'x', media: [{ url: '' }, { url: 'https://example.com/b.jpg' }] });
    expect(usablePhoto(tweet)).toEqual({ url: 'https://example.com/b.jpg' });
  });

  it('keeps the digits of an id that is a number', () => {
    expect(parse('{"id": 1234567890123456789, "text": "x", "author_id":9876543210987654321}')).toMatchObject({
      id: '1234567890123456789',
      authorId: '9876543210987654321',
    });
  });

  it('leaves what looks like an id inside a text alone', () => {
    const text = 'see {"id": 1234567890123456789, ok}';
    expect(parse({ id: '1', text }).text).toBe(text);
  });

  it('accepts an empty text', () => {
    expect(parse({ id: '1', text: '' }).text).toBe('');
  });
});

describe('the shape of X API v2', () => {
  const includes = {
    media: [
      { media_key: 'v', type: 'video', url: 'https://example.com/v.mp4' },
      { media_key: 'p', type: 'photo', url: 'https://example.com/p.jpg', alt_text: 'a beach' },
    ],
    tweets: [{ id: '9', text: 'the whole original', attachments: { media_keys: ['p'] } }],
  };

  it('finds the photos by their keys', () => {
    const tweet = parse({ data: { id: '1', text: 'hi', attachments: { media_keys: ['v', 'p'] } }, includes });
    expect(tweet.photos).toEqual([{ url: 'https://example.com/p.jpg', altText: 'a beach' }]);
  });

  it('prefers the whole text of a long tweet', () => {
    const tweet = parse({ data: { id: '1', text: 'cut…', note_tweet: { text: 'cut no more, this is all of it' } } });
    expect(tweet.text).toBe('cut no more, this is all of it');
  });

  it('reads an original that has only the text of a long tweet', () => {
    const data = { id: '1', text: 'RT @a: …', referenced_tweets: [{ type: 'retweeted', id: '9' }] };
    const tweet = parse({ data, includes: { tweets: [{ id: '9', note_tweet: { text: 'all of it, long' } }] } });
    expect(tweet).toMatchObject({ text: 'all of it, long', retweetOf: '9' });
  });

  it('reads a retweet as its original where that is included', () => {
    const data = { id: '1', text: 'RT @a: the wh…', referenced_tweets: [{ type: 'retweeted', id: '9' }] };
    expect(parse({ data, includes })).toMatchObject({ id: '1', text: 'the whole original', retweetOf: '9' });
    expect(parse({ data, includes }).photos).toHaveLength(1);
    expect(parse({ data })).toMatchObject({ text: 'RT @a: the wh…' });
    expect(parse({ data }).retweetOf).toBeUndefined();
  });
});

describe('the shape of version 1.1', () => {
  it('is read with its photo, its author and its time', () => {
    const tweet = parse({
      id_str: '5',
      id: 5,
      full_text: 'Berlin https://t.co/x',
      display_text_range: [0, 6],
      created_at: 'Wed Oct 10 20:19:24 +0000 2018',
      user: { id_str: '77' },
      extended_entities: { media: [{ media_url_https: 'https://pbs.twimg.com/media/a.jpg', ext_alt_text: 'a tower' }] },
    });
    expect(tweet).toMatchObject({ id: '5', displayed: [0, 6], authorId: '77', createdAt: '2018-10-10T20:19:24.000Z' });
    expect(tweet.photos).toEqual([{ url: 'https://pbs.twimg.com/media/a.jpg', altText: 'a tower' }]);
  });

  it('counts the displayed range in code points', () => {
    expect(parse({ id_str: '5', full_text: '😀😀 Rome', display_text_range: [1, 7] }).displayed).toEqual([2, 9]);
    expect(parse({ id_str: '5', full_text: 'Rome', display_text_range: [4, 2] }).displayed).toEqual([0, 4]);
  });

  it('prefers extended_tweet, and its own range', () => {
    const tweet = parse({
      id_str: '5',
      text: 'cut…',
      display_text_range: [0, 2],
      extended_tweet: { full_text: 'cut no more', display_text_range: [4, 11] },
    });
    expect(tweet).toMatchObject({ text: 'cut no more', displayed: [4, 11] });
  });

  it('reads a retweet whose original is a stub as what it is', () => {
    const tweet = parse({ id_str: '1', full_text: 'RT @a: cut…', retweeted_status: { id_str: '2' } });
    expect(tweet.text).toBe('RT @a: cut…');
    expect(tweet.retweetOf).toBeUndefined();
  });

  it('lists a photo once that stands in the cut and in the whole tweet', () => {
    const media = [{ media_url_https: 'https://pbs.twimg.com/media/a.jpg' }];
    const tweet = parse({
      id_str: '5',
      text: 'cut…',
      extended_entities: { media },
      extended_tweet: { full_text: 'cut no more', extended_entities: { media } },
    });
    expect(tweet.photos).toHaveLength(1);
  });

  it('reads a retweet as its original', () => {
    const tweet = parse({
      id_str: '5',
      text: 'RT @b: who…',
      retweeted_status: { id_str: '4', full_text: 'whole Paris' },
    });
    expect(tweet).toMatchObject({ id: '5', text: 'whole Paris', retweetOf: '4' });
  });
});

describe('bad input', () => {
  it.each([
    ['bad_json', '{"id":"1","text":"x"'],
    ['bad_json', ''],
    ['bad_json', 'hello'],
    ['unknown_shape', '[]'],
    ['unknown_shape', 'null'],
    ['unknown_shape', '"text"'],
    ['unknown_shape', '{}'],
    ['unknown_shape', '{"__proto__":{"id":"1","text":"x"}}'],
    ['unknown_shape', '{"constructor":{"prototype":{"id":"1"}}}'],
    ['no_id', '{"text":"x"}'],
    ['no_id', '{"id":"","text":"x"}'],
    ['no_id', '{"id":-1,"text":"x"}'],
    ['no_id', '{"data":{"text":"x"}}'],
    ['no_text', '{"id":"1"}'],
    ['no_text', '{"id":"1","text":null}'],
    ['no_text', '{"id":"1","text":["x"]}'],
    ['no_text', '{"data":{"id":"1"}}'],
  ])('%s: %s', (code, value) => {
    expect(codeOf(() => parse(value))).toBe(code);
  });

  it('bad_utf8: a byte that no UTF-8 text holds', () => {
    expect(codeOf(() => parseTweet(Buffer.from([0x7b, 0xff, 0x7d])))).toBe('bad_utf8');
  });

  it('too_deep: 10,000 levels', () => {
    expect(codeOf(() => parse(`{"id":"1","text":"x","a":${'['.repeat(10_000)}${']'.repeat(10_000)}}`))).toBe(
      'too_deep',
    );
  });

  it('brackets inside strings are no nesting', () => {
    expect(parse({ id: '1', text: `${'['.repeat(200)} \\" ${'{'.repeat(200)}` }).id).toBe('1');
  });

  it('text_too_long: 25,001 characters, where 25,000 emoji are fine', () => {
    expect(codeOf(() => parse({ id: '1', text: 'x'.repeat(25_001) }))).toBe('text_too_long');
    expect(parse({ id: '1', text: '😀'.repeat(25_000) }).text).toHaveLength(50_000);
  });

  it('no error quotes the text', () => {
    try {
      parse('{"id":"1","text":"my secret');
    } catch (error) {
      expect((error as Error).message).not.toContain('secret');
    }
  });

  it('does not touch any prototype', () => {
    parse('{"id":"1","text":"x","__proto__":{"polluted":true}}');
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });
});

describe('what a hostile record costs', () => {
  const BYTES = 200_000;
  const RUNS = 41;
  const often = (part: string) =>
    Array(Math.floor(BYTES / (part.length + 1)))
      .fill(part)
      .join();
  const members = often('{"user":{"name":"Kobe","id":17}}');
  const RECORDS = {
    healthy: `{"id":"1","text":"Kobe Bryant","x":[${members}]}`,
    deep: `{"id":"1","text":"Kobe Bryant","x":${'['.repeat(BYTES / 2)}${']'.repeat(BYTES / 2)}}`,
    'deep at its end': `{"id":"1","text":"Kobe Bryant","x":[${members}],"y":${'['.repeat(100)}${']'.repeat(100)}}`,
    'of prototypes': `{"id":"1","text":"Kobe Bryant","x":[${often('{"__proto__":{"id":"2"}}')}]}`,
  };

  /** CPU time, since another process on the machine must not make a record dear. */
  const costOf = (bytes: Buffer): number => {
    const before = process.cpuUsage();
    codeOf(() => parseTweet(bytes));
    const { user, system } = process.cpuUsage(before);
    return user + system;
  };
  const median = (costs: readonly number[]) => [...costs].sort((a, b) => a - b)[costs.length >> 1] ?? 0;

  it('fault 24: deep nesting costs less than a healthy record of its size, __proto__ about as much', ({ task }) => {
    const names = Object.keys(RECORDS) as (keyof typeof RECORDS)[];
    const bytes = names.map((name) => Buffer.from(RECORDS[name]));
    expect(bytes.map((one) => codeOf(() => parseTweet(one)))).toEqual(['none', 'too_deep', 'too_deep', 'none']);
    // In turns, so that what the machine does meanwhile befalls all alike.
    const rounds = Array.from({ length: RUNS }, () => bytes.map(costOf));
    const [healthy = 0, ...hostile] = names.map((_, at) => median(rounds.map((round) => round[at] ?? 0)));
    const [deep = 0, late = 0, proto = 0] = hostile.map((cost) => cost / healthy);
    expect(deep).toBeLessThan(1);
    expect(late).toBeLessThan(1);
    expect(proto).toBeLessThan(3);
    const times = (cost: number) => `${cost.toFixed(2)}x`;
    seen(
      task,
      `of a healthy record's parsing (200 kB, ${(healthy / 1000).toFixed(1)} ms): deep ${times(deep)}, deep at its end ${times(late)}, __proto__ all over ${times(proto)}`,
    );
  });
});
