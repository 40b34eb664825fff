import { expect, it } from 'vitest';
import { contentKey, urlKey } from '#mner/image/cache/key.js';

const key = (url: string, vision = 'vision 1') => urlKey(new URL(url), vision);

it('is short, and says whose it is', () => {
  expect(key('https://pictures.example/a')).toMatch(/^mner:img:[\w-]{22}$/);
});

it('is one for spellings that mean the same', () => {
  const one = key('https://pictures.example/b?x=1');
  for (const same of ['HTTPS://Pictures.EXAMPLE/b?x=1', 'https://pictures.example:443/a/../b?x=1#part'])
    expect(key(same)).toBe(one);
});

it('differs for what may differ', () => {
  const url = 'https://pictures.example/a';
  const keys = [
    key(url),
    key(`${url}?x`),
    key(url.replace('https', 'http')),
    key(url, 'vision 2'),
    contentKey(Buffer.from(url), 'vision 1'),
  ];
  expect(new Set(keys).size).toBe(keys.length);
});

it('of content follows its bytes', () => {
  const bytes = Buffer.from('bytes');
  expect(contentKey(bytes, 'vision 1')).toBe(contentKey(Buffer.from('bytes'), 'vision 1'));
  expect(contentKey(bytes, 'vision 1')).not.toBe(contentKey(bytes, 'vision 2'));
});

it('leaves the URL as it is', () => {
  const url = new URL('https://pictures.example/a#part');
  urlKey(url, 'vision 1');
  expect(url.hash).toBe('#part');
});
