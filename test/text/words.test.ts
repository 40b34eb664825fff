import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { unescapeEntities } from '#mner/text/unescape.js';
import { type Mentions, splitWords } from '#mner/text/words.js';

const texts = (raw: string, mentions: Mentions) => splitWords(raw, mentions).map((word) => word.text);

describe('words in the way of Twitter-2015 (ignore)', () => {
  it.each([
    ['RT @LFC: #LFC can confirm!', ['RT', '@LFC', ':', '#LFC', 'can', 'confirm', '!']],
    ["I've @anna's", ['I', "'", 've', '@anna', "'", 's']],
    ['7:30pm for $2.99, 10,000', ['7', ':', '30pm', 'for', '$', '2', '.', '99', ',', '10', ',', '000']],
    ['same-sex 2014-15 bath--and -- w/ w/o 3/4', ['same-sex', '2014-15', 'bath--and', '--', 'w/', 'w/o', '3/4']],
    ['U.S.A. ...', ['U', '.', 'S', '.', 'A', '.', '.', '.', '.']],
    ['$AAPL Ke$ha', ['$AAPL', 'Ke', '$', 'ha']],
    ['AT&amp;T :)', ['AT&T', ':', ')']],
    ['go#now RT@Gizmodo', ['go', '#now', 'RT', '@Gizmodo']],
  ])('%s', (raw, expected) => {
    expect(texts(raw, 'ignore')).toEqual(expected);
  });
});

describe('words in the way of Twitter-2017 (entity)', () => {
  it.each([
    ['.@warriors #NBAFinals', ['.', '@', 'warriors', '#', 'NBAFinals']],
    ['co-hosts 20/20 5th 76ers', ['co', '-', 'hosts', '20', '/', '20', '5', 'th', '76', 'ers']],
    ['$10,000 or 16.99 at 7:30', ['$', '10,000', 'or', '16.99', 'at', '7', ':', '30']],
    ['It’s :) :D :Dog', ['It', '’', 's', ':)', ':D', ':', 'Dog']],
    ['@Bundesliga_EN Trump2016', ['@', 'Bundesliga_EN', 'Trump2016']],
    ['R&amp;B', ['R', '&', 'B']],
  ])('%s', (raw, expected) => {
    expect(texts(raw, 'entity')).toEqual(expected);
  });
});

describe.each(['ignore', 'entity'] as const)('words, either way (%s)', (mentions) => {
  it.each([
    [
      '(see https://x.com/a?b=1&amp;c=2), www.a.org.',
      ['(', 'see', 'https://x.com/a?b=1&c=2', ')', ',', 'www.a.org', '.'],
    ],
    ['cut off http://t.co/ab…', ['cut', 'off', 'http://t.co/ab…']],
    ['cut off htt…', ['cut', 'off', 'htt…']],
    ['👩‍💻👍🏽🇳🇴❤️1️⃣Oslo', ['👩‍💻', '👍🏽', '🇳🇴', '❤️', '1️⃣', 'Oslo']],
    ['a\u0000b \u200b \u200e x\u200by \ud800', ['a', 'b', 'x', 'y']],
    ['می\u200cخواهم', ['می\u200cخواهم']],
    ['e\u0301te\u0301', ['e\u0301te\u0301']],
    ['', []],
  ])('%s', (raw, expected) => {
    expect(texts(raw, mentions)).toEqual(expected);
  });

  it('gives offsets into the text as it came', () => {
    const raw = 'Tom &amp; Ann &lt;3 &amp;amp; 😀 Oslo';
    const words = splitWords(raw, mentions);
    expect(words.map(({ text, start, end }) => [text, raw.slice(start, end)])).toEqual(
      mentions === 'ignore'
        ? [
            ['Tom', 'Tom'],
            ['&', '&amp;'],
            ['Ann', 'Ann'],
            ['<', '&lt;'],
            ['3', '3'],
            ['&amp', '&amp;amp'],
            [';', ';'],
            ['😀', '😀'],
            ['Oslo', 'Oslo'],
          ]
        : [
            ['Tom', 'Tom'],
            ['&', '&amp;'],
            ['Ann', 'Ann'],
            ['<', '&lt;'],
            ['3', '3'],
            ['&', '&amp;'],
            ['amp', 'amp'],
            [';', ';'],
            ['😀', '😀'],
            ['Oslo', 'Oslo'],
          ],
    );
  });

  it('reads any text: words in order, apart, none blank, each the unescaped slice', () => {
    const nasty = fc.array(
      fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.constantFrom(
          '&amp;',
          '&lt;',
          '&',
          '@a',
          '#b',
          'http://a.b/c.',
          '\u200d',
          '\ufe0f',
          '👩‍💻',
          '\ud83d',
          '…',
          ' ',
          "'",
          '-',
        ),
      ),
    );
    fc.assert(
      fc.property(nasty, (parts) => {
        const raw = parts.join('');
        let last = 0;
        for (const { text, start, end } of splitWords(raw, mentions)) {
          expect(start).toBeGreaterThanOrEqual(last);
          expect(end).toBeGreaterThan(start);
          expect(unescapeEntities(raw.slice(start, end)).text).toBe(text);
          expect(text.trim()).not.toBe('');
          last = end;
        }
        expect(last).toBeLessThanOrEqual(raw.length);
      }),
      { numRuns: 150 },
    );
  });

  it.each([
    `http://x${')'.repeat(25_000)}x`,
    'a',
    '-',
    '.',
    '@',
    '#',
    '&',
    '😀',
    '\u200d',
    'http://',
    '&amp;',
    'a-',
    '\u0301',
    ' ',
    'h…',
    '1,',
  ])('takes 25,000 characters of %.10s in linear time', (part) => {
    const raw = part.repeat(Math.ceil(25_000 / part.length));
    const from = performance.now();
    splitWords(raw, mentions);
    // Quadratic behaviour would take minutes.
    expect(performance.now() - from).toBeLessThan(2000);
  });
});

describe('unescapeEntities', () => {
  it('reads the three entities once, and no others', () => {
    expect(unescapeEntities('a &amp;lt; &quot; &gt;').text).toBe('a &lt; &quot; >');
  });

  it('maps every unit to where it came from', () => {
    const { text, origin } = unescapeEntities('a&amp;b');
    expect(text).toBe('a&b');
    expect(Array.from(origin!)).toEqual([0, 1, 6, 7]);
  });

  it('maps nothing where nothing is escaped', () => {
    expect(unescapeEntities('AT&T').origin).toBeNull();
  });
});
