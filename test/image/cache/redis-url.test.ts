import { expect, it } from 'vitest';
import { parseRedisUrl } from '#mner/image/cache/redis-url.js';

const BARE = { tls: false, username: null, password: null, db: 0 };

it.each([
  ['redis://cache', { ...BARE, hosts: [{ host: 'cache', port: 6379 }] }],
  ['redis://cache:1/2', { ...BARE, hosts: [{ host: 'cache', port: 1 }], db: 2 }],
  ['redis://:p@cache', { ...BARE, password: 'p', hosts: [{ host: 'cache', port: 6379 }] }],
  [
    'rediss://u:a%40b%3A,c@[::1]:7/',
    { tls: true, username: 'u', password: 'a@b:,c', hosts: [{ host: '::1', port: 7 }], db: 0 },
  ],
  [
    'redis://u@a:1,b,10.0.0.1:3/1?x=y',
    {
      ...BARE,
      username: 'u',
      hosts: [
        { host: 'a', port: 1 },
        { host: 'b', port: 6379 },
        { host: '10.0.0.1', port: 3 },
      ],
      db: 1,
    },
  ],
  ['redis://:50%@a', { ...BARE, password: '50%', hosts: [{ host: 'a', port: 6379 }] }],
])('reads %s', (url, address) => {
  expect(parseRedisUrl(url)).toEqual(address);
});

it('takes the port of Sentinels where it is told', () => {
  expect(parseRedisUrl('redis://a,b:1', 26_379).hosts.map(({ port }) => port)).toEqual([26_379, 1]);
});

it.each(['http://a', 'redis://', 'redis://a,', 'redis://secret@', 'redis://:secret@a b', 'redis://a:1:2'])(
  'refuses %s, and does not repeat it',
  (url) => {
    expect(() => parseRedisUrl(url)).toThrow(expect.objectContaining({ code: 'bad_config' }));
    expect(() => parseRedisUrl(url)).not.toThrow(/secret/);
  },
);
