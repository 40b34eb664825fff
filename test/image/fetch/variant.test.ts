import { describe, expect, it } from 'vitest';
import { canonicalPictureUrl, variantOf } from '#mner/image/fetch/variant.js';

const SPELLINGS = [
  'https://pbs.twimg.com/media/Ab-1_x.jpg',
  'http://pbs.twimg.com/media/Ab-1_x.jpg',
  'https://PBS.twimg.com:443/media/Ab-1_x.JPG#a',
  'https://pbs.twimg.com/media/Ab-1_x.jpg:large',
  'https://pbs.twimg.com/media/Ab-1_x.jpg?name=orig',
  'https://pbs.twimg.com/media/Ab-1_x?format=jpg',
  'https://pbs.twimg.com/media/Ab-1_x?name=4096x4096&format=jpg&x=1',
];

describe('a picture of X', () => {
  it.each(SPELLINGS)('has one canonical URL, and one small variant: %s', (spelling) => {
    expect(canonicalPictureUrl(new URL(spelling)).href).toBe('https://pbs.twimg.com/media/Ab-1_x?format=jpg');
    expect(variantOf(new URL(spelling), 224).href).toBe('https://pbs.twimg.com/media/Ab-1_x?format=jpg&name=small');
  });

  it.each([
    [224, 'small'],
    [340, 'small'],
    [384, 'medium'],
    [600, 'medium'],
    [1024, 'large'],
    [1025, 'orig'],
  ])('is asked for in a size that is enough for a model that sees %d pixels: %s', (size, name) => {
    const url = new URL('https://pbs.twimg.com/media/A.png');
    expect(variantOf(url, size).searchParams.get('name')).toBe(name);
  });

  it('keeps its format, so that one that does not exist cannot stand for one that does', () => {
    const [png, jpg] = ['png', 'jpg'].map((format) => new URL(`https://pbs.twimg.com/media/A.${format}`));
    expect(canonicalPictureUrl(png as URL).href).not.toBe(canonicalPictureUrl(jpg as URL).href);
  });
});

it.each([
  'https://pictures.example/media/A.jpg?name=orig',
  'https://pbs.twimg.com/profile_images/1/a.jpg?name=orig',
  'https://pbs.twimg.com/media/A',
  'https://pbs.twimg.com/media/A.jpg/b?name=orig',
  'https://pbs.twimg.com:8080/media/A.jpg',
  'https://user@pbs.twimg.com/media/A.jpg',
  'https://pbs.twimg.com.evil.example/media/A.jpg',
  'ftp://pbs.twimg.com/media/A.jpg',
])('any other URL stays as it is: %s', (text) => {
  expect(variantOf(new URL(`${text}#a`), 224).href).toBe(`${text}#a`);
  expect(canonicalPictureUrl(new URL(`${text}#a`)).href).toBe(text);
});
