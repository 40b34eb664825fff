import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import ipaddr from 'ipaddr.js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { manualClock } from '#mner/clock.js';
import { type AddressPolicy, addressPolicy } from '#mner/image/fetch/address.js';
import { type HttpOriginOptions, httpOrigin } from '#mner/image/fetch/http.js';
import { createResolve } from '#mner/image/fetch/resolve.js';
import type { Origin } from '#mner/image/port.js';
import { seen } from '../../support/seen.js';
import { answer, type Behave, evilServer } from '../evil-server.js';
import { evilDns, type Tell } from './evil-dns.js';

/**
 * Every way in which a stranger's URL may try to reach our own network or to exhaust us, each by its name. What is asserted
 * about dials is what Node itself reports of every TCP connection that this process attempts, so that one into the void
 * shows as well.
 */
let dials: string[] = [];
const watch = (message: unknown) => {
  const { socket } = message as { socket: Socket };
  socket.on('connectionAttempt', (address: string, port: number) => dials.push(`${address}:${port}`));
};
beforeEach(() => {
  dials = [];
  subscribe('net.client.socket', watch);
});

const { signal } = new AbortController();
const closing: { stop(): Promise<void> }[] = [];
afterEach(async () => {
  unsubscribe('net.client.socket', watch);
  for (const one of closing.splice(0).reverse()) await one.stop();
});
async function closeLater<T extends { stop(): Promise<void> }>(one: Promise<T> | T): Promise<T> {
  const opened = await one;
  closing.push(opened);
  return opened;
}
const serve = (behave: Behave, where?: { address?: string; port?: number }) => closeLater(evilServer(behave, where));
const open = (options: HttpOriginOptions): Promise<Origin> => closeLater(httpOrigin(options));

/** Names resolve as `tell` says, by a real name server. */
async function resolver(tell: Tell) {
  const dns = await closeLater(evilDns(tell));
  return createResolve({ servers: [dns.server], timeoutMs: 4_000, tries: 1 });
}

const TARGETS = [
  ['loopback', '127.0.0.1'],
  ['private', '10.0.0.1'],
  ['private', '172.16.0.1'],
  ['private', '192.168.0.1'],
  ['link-local', '169.254.1.1'],
  ['metadata', '169.254.169.254'],
] as const;

/** An IPv4 address in every dress in which it may come. */
function dresses(address: string): [dress: string, url: string][] {
  const bytes = ipaddr.IPv4.parse(address).toByteArray();
  const number = bytes.reduce((sum, byte) => sum * 256 + byte, 0);
  const digits = (radix: number) => bytes.map((byte) => byte.toString(radix));
  const hex = bytes.map((byte) => byte.toString(16).padStart(2, '0')).join('');
  const pairs = `${hex.slice(0, 4)}:${hex.slice(4)}`;
  return [
    ['itself', `http://${address}/`],
    ['decimal', `http://${number}/`],
    [
      'octal',
      `http://${digits(8)
        .map((part) => `0${part}`)
        .join('.')}/`,
    ],
    ['hexadecimal', `http://0x${hex}/`],
    [
      'hexadecimal parts',
      `http://${digits(16)
        .map((part) => `0x${part}`)
        .join('.')}/`,
    ],
    ['IPv6-mapped', `http://[::ffff:${address}]/`],
    ['6to4', `http://[2002:${pairs}::1]/`],
    ['NAT64', `http://[64:ff9b::${address}]/`],
    ['Teredo', `http://[2001:0:${pairs}::1]/`],
    ['with a port', `http://${address}:8080/`],
    ['with userinfo', `http://user:secret@${address}/`],
    ['as userinfo of a name', `http://pictures.example@${address}/`],
    ['over https', `https://${address}/`],
    ['a name', `http://a.${hex}.example/`],
    ['a name over https', `https://a.${hex}.example/`],
    ['a name with IPv6-mapped', `http://mapped.${hex}.example/`],
    ['a name with NAT64', `http://nat64.${hex}.example/`],
  ];
}

/** `a.7f000001.example` is 127.0.0.1, and so on. */
const tellDresses: Tell = (name, family) => {
  const [how, hex = ''] = name.split('.');
  const pairs = `${hex.slice(0, 4)}:${hex.slice(4)}`;
  if (how === 'a') return family === 4 ? [ipaddr.IPv4.parse(`0x${hex}`).toString()] : [];
  if (family === 4) return [];
  return [how === 'mapped' ? `::ffff:${pairs}` : `64:ff9b::${pairs}`];
};

/** By itself and as the goal of a redirect, with nothing dialled but the host that redirects. */
async function expectRefused(url: string): Promise<void> {
  const outer = await serve((_, socket) => void socket.write(answer('302 Found', { location: url })));
  const origin = await open({ policy: addressPolicy({ allow: [outer.host] }) });
  expect(await origin.fetch(url, signal)).toMatchObject({ status: 'refused' });
  expect(dials).toEqual([]);
  expect(await origin.fetch(`http://${outer.host}/`, signal)).toMatchObject({ status: 'refused' });
  expect(dials).toEqual([outer.host]);
}

const DRESSES = dresses('127.0.0.1').length;
const CASES = TARGETS.flatMap(([kind, address]) =>
  dresses(address).map(([dress, url]) => [`${kind} ${address}`, dress, url] as const),
);

describe.each(CASES)('%s, %s (%s)', (target, _dress, url) => {
  it('fault 43: is refused, and nothing is dialled', async ({ task }) => {
    const origin = await open({ policy: addressPolicy({ resolve: await resolver(tellDresses) }) });
    expect(await origin.fetch(url, signal)).toMatchObject({ status: 'refused' });
    expect(dials).toEqual([]);
    seen(task, `${target} in ${DRESSES} dresses: refused, 0 dials`);
  });

  it('fault 43: is refused as the goal of a redirect, and nothing but the first host is dialled', async ({ task }) => {
    const outer = await serve((_, socket) => void socket.write(answer('302 Found', { location: url })));
    const policy = addressPolicy({ allow: [outer.host], resolve: await resolver(tellDresses) });
    expect(await (await open({ policy })).fetch(`http://${outer.host}/`, signal)).toMatchObject({ status: 'refused' });
    expect(dials).toEqual([outer.host]);
    seen(task, `${target} in ${DRESSES} dresses behind a redirect: refused, 0 dials`);
  });
});

it.for([
  'http://[::]/',
  'http://[::1]/',
  'http://0.0.0.0/',
  'http://0/',
  'http://127.1/',
  'http://[fd00::1]/',
  'http://[fec0::1]/',
])('fault 43: %s is refused, and nothing is dialled', async (url, { task }) => {
  await expectRefused(url);
  seen(task, `${new URL(url).host}: refused, 0 dials`);
});

it.for([
  'http://169.254.169.254/latest/meta-data/',
  'http://169.254.1.1/',
  'http://[fe80::1]/',
  'http://[::ffff:169.254.169.254]/',
])('fault 41: a redirect to the link-local %s is refused, and nothing there is dialled', async (location, { task }) => {
  const outer = await serve((_, socket) => void socket.write(answer('302 Found', { location })));
  const origin = await open({ policy: addressPolicy({ allow: [outer.host] }) });
  expect(await origin.fetch(`http://${outer.host}/`, signal)).toMatchObject({ status: 'refused' });
  expect(dials).toEqual([outer.host]);
  seen(task, `redirect to ${new URL(location).host}: refused, 0 dials`);
});

describe('a listener inside', () => {
  /** Lets every http URL pass, so that any port will do, and only the check at the dial is left. */
  const anyPort = (policy: AddressPolicy): AddressPolicy => ({
    ...policy,
    refuseUrl: (url) => (url.protocol === 'http:' ? null : 'scheme'),
  });
  // 127.0.0.2 plays the public address: the network is allowed, and nothing else is.
  const PUBLIC = '127.0.0.2';

  /** Two listeners on one port, at the public address and at the private one. */
  async function listeners() {
    const outside = await serve((_, socket) => void socket.end(answer('200 OK', { connection: 'close' }, 'outside')), {
      address: PUBLIC,
    });
    const inside = await serve((_, socket) => void socket.write(answer('200 OK', {}, 'inside')), {
      port: outside.port,
    });
    return { outside, inside, port: outside.port };
  }

  it('fault 42: sees no connection when a name answers public first and private second', async ({ task }) => {
    const { inside, outside, port } = await listeners();
    let turn = 0;
    const resolve = await resolver((_, family) => (family === 6 ? [] : [turn++ === 0 ? PUBLIC : '127.0.0.1']));
    const origin = await open({ policy: anyPort(addressPolicy({ allow: [`${PUBLIC}/32`], resolve })) });
    const url = `http://rebinding.example:${port}/`;
    expect(await origin.fetch(url, signal)).toEqual({ status: 'ok', bytes: Buffer.from('outside') });
    expect(await origin.fetch(url, signal)).toMatchObject({ status: 'refused' });
    expect([outside.connections, inside.connections]).toEqual([1, 0]);
    seen(task, 'rebound between two fetches: 0 connections inside');
  });

  it('fault 42: sees no connection when a redirect leads to the same name, which now answers private', async ({
    task,
  }) => {
    const outside = await serve(
      (_, socket) => void socket.end(answer('302 Found', { location: '/again', connection: 'close' })),
      { address: PUBLIC },
    );
    const inside = await serve((_, socket) => void socket.write(answer('200 OK')), { port: outside.port });
    let turn = 0;
    const resolve = await resolver((_, family) => (family === 6 ? [] : [turn++ === 0 ? PUBLIC : '127.0.0.1']));
    const origin = await open({ policy: anyPort(addressPolicy({ allow: [`${PUBLIC}/32`], resolve })) });
    const result = await origin.fetch(`http://rebinding.example:${outside.port}/`, signal);
    expect(result).toMatchObject({ status: 'refused' });
    expect(inside.connections).toBe(0);
    seen(task, 'rebound before a redirect: 0 connections inside');
  });

  it.for([
    ['public and private', [PUBLIC, '127.0.0.1'], []],
    ['private and public', ['127.0.0.1', PUBLIC], []],
    ['public IPv4 and private IPv6', [PUBLIC], ['::1']],
    ['public IPv4 and mapped private', [PUBLIC], ['::ffff:127.0.0.1']],
  ] as const)('fault 42: sees no connection when the answers are mixed: %s', async ([what, four, six], { task }) => {
    const { inside, outside, port } = await listeners();
    const resolve = await resolver((_, family) => (family === 4 ? four : six));
    const origin = await open({ policy: anyPort(addressPolicy({ allow: [`${PUBLIC}/32`], resolve })) });
    expect(await origin.fetch(`http://mixed.example:${port}/`, signal)).toMatchObject({ status: 'refused' });
    expect([outside.connections, inside.connections]).toEqual([0, 0]);
    seen(task, `${what}: 0 connections`);
  });

  it.for([
    '127.0.0.1',
    'localhost',
    '2130706433',
    '017700000001',
    '0x7f000001',
    '127.1',
    '0',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    'user:secret@127.0.0.1',
    'inside.example',
  ])('fault 41: sees no connection when a redirect leads to it as %s', async (host, { task }) => {
    const inside = await serve((_, socket) => void socket.write(answer('200 OK')));
    const location = `http://${host}:${inside.port}/`;
    const outer = await serve((_, socket) => void socket.write(answer('307 Temporary Redirect', { location })));
    const resolve = await resolver((_, family) => (family === 4 ? ['127.0.0.1'] : []));
    const policy = addressPolicy({ allow: [outer.host], resolve });
    for (const careful of [policy, anyPort(policy)]) {
      const origin = await open({ policy: careful });
      expect(await origin.fetch(`http://${outer.host}/`, signal)).toMatchObject({ status: 'refused' });
    }
    expect(inside.connections).toBe(0);
    seen(task, 'redirects to a listener inside, by all its names: 0 connections');
  });
});

it.each(['file:///etc/passwd', 'gopher://127.0.0.1:70/_x', 'data:image/png;base64,AAAA', 'ftp://127.0.0.1/a'])(
  '%s is refused, as a URL and as the goal of a redirect',
  expectRefused,
);

it.for([
  ['to itself', ['/']],
  ['between two', ['/b', '/a']],
] as const)('fault 41: a redirect loop %s is refused after three redirects', async ([what, goals], { task }) => {
  let requests = 0;
  const server = await serve((_, socket) => {
    socket.write(answer('302 Found', { location: goals[requests % goals.length] as string }));
    requests += 1;
  });
  const origin = await open({ policy: addressPolicy({ allow: [server.host] }) });
  expect(await origin.fetch(`http://${server.host}/a`, signal)).toMatchObject({ status: 'refused' });
  expect(requests).toBe(4);
  seen(task, `loop ${what}: refused after ${requests} requests`);
});

describe('in five seconds and ten megabytes at most:', () => {
  const fetchFrom = async (behave: Behave) => {
    const clock = manualClock();
    const server = await serve(behave);
    const origin = await open({ clock, policy: addressPolicy({ allow: [server.host] }) });
    return { clock, server, result: origin.fetch(`http://${server.host}/`, signal) };
  };

  it.for([
    ['body', 'HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n', 'a'],
    ['head', 'HTTP/1.1 200 OK\r\nx: ', 'a'],
  ] as const)(
    'fault 39: a drip of one byte a second in the %s is timed_out, and its connection is closed',
    async ([what, start, byte], { task }) => {
      const sent: (() => void)[] = [];
      const { clock, server, result } = await fetchFrom((_, socket) => {
        socket.write(start);
        sent.push(() => socket.write(byte));
      });
      await server.asked(1);
      for (let second = 0; second < 5; second += 1) {
        sent[0]?.();
        clock.advance(1000);
      }
      expect(await result).toMatchObject({ status: 'timed_out' });
      await server.quiet();
      seen(task, `a drip in the ${what}: timed_out after 5 s of the clock`);
    },
  );

  it('fault 39: a body that never ends is too_large, and its connection is closed', async ({ task }) => {
    const { server, result } = await fetchFrom((_, socket) => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      const block = Buffer.alloc(1 << 20);
      const more = () => socket.writable && socket.write(block, () => more());
      more();
    });
    expect(await result).toMatchObject({ status: 'too_large' });
    await server.quiet();
    seen(task, 'an endless body: too_large, closed');
  });

  it.for([
    ['too small: the rest is no picture', '3', 'ok'],
    ['too large, and the host hangs up: unreachable', '4000', 'unreachable'],
    ['beyond the limit: too_large', '99999999999', 'too_large'],
    ['no number: unreachable', 'many', 'unreachable'],
    ['negative: unreachable', '-1', 'unreachable'],
    ['given twice: unreachable', '3\r\ncontent-length: 7', 'unreachable'],
    ['given beside chunks: unreachable', '3\r\ntransfer-encoding: chunked', 'unreachable'],
  ] as const)('fault 39: a false Content-Length, %s', async ([, length, status], { task }) => {
    const { result } = await fetchFrom(
      (_, socket) => void socket.end(`HTTP/1.1 200 OK\r\ncontent-length: ${length}\r\n\r\npicture`),
    );
    expect(await result).toMatchObject({ status });
    seen(task, `Content-Length ${length.split('\r')[0]} for 7 bytes: ${status}`);
  });

  const zeros = Buffer.alloc(64 << 20);
  it.for([
    ['gzip', gzipSync(zeros, { level: 1 })],
    ['br', brotliCompressSync(zeros, { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } })],
  ] as const)(
    'fault 44: a %s bomb is unreadable, and nothing of it is unpacked',
    async ([encoding, bomb], { task }) => {
      const before = process.memoryUsage().arrayBuffers;
      const { result } = await fetchFrom(
        (_, socket) => void socket.write(answer('200 OK', { 'content-encoding': encoding }, bomb)),
      );
      expect(await result).toMatchObject({ status: 'unreadable' });
      const grown = process.memoryUsage().arrayBuffers - before;
      expect(grown).toBeLessThan(16 << 20);
      seen(task, `${encoding} bomb of 64 MiB: unreadable, ${Math.max(0, grown / 2 ** 20).toFixed(1)} MiB of memory`);
    },
  );
});
