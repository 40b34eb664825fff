import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { manualClock } from '#mner/clock.js';
import { addressPolicy } from '#mner/image/fetch/address.js';
import { httpOrigin } from '#mner/image/fetch/http.js';
import { answer, type Behave, evilServer } from '../evil-server.js';

const { signal } = new AbortController();
const closing: { stop(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of closing.splice(0).reverse()) await one.stop();
});
async function closeLater<T extends { stop(): Promise<void> }>(one: Promise<T> | T): Promise<T> {
  const opened = await one;
  closing.push(opened);
  return opened;
}
const serve = (behave: Behave) => closeLater(evilServer(behave));

describe('a connection that was kept alive', () => {
  /** Answers the first request of each connection, then closes it as `close` says at the next one's arrival. */
  const closedLater = async (close: (socket: Socket) => void) => {
    const seen = new WeakSet<Socket>();
    let requests = 0;
    const server = await serve((_, socket) => {
      requests += 1;
      if (seen.has(socket)) return close(socket);
      seen.add(socket);
      socket.write(answer('200 OK', {}, 'picture'));
    });
    return { server, requests: () => requests };
  };

  it.each([
    ['ends it', (socket: Socket) => void socket.end()],
    ['resets it', (socket: Socket) => void socket.resetAndDestroy()],
  ])('and is closed before a byte of the answer is asked for once more (the host %s)', async (_, close) => {
    const { server, requests } = await closedLater(close);
    const origin = await closeLater(httpOrigin({ policy: addressPolicy({ allow: [server.host] }) }));
    for (let time = 0; time < 3; time += 1) {
      expect(await origin.fetch(`http://${server.host}/${time}`, signal)).toMatchObject({ status: 'ok' });
      // Only then is the connection free for the next.
      await turn();
    }
    expect(server.connections).toBe(3);
    expect(requests()).toBe(5);
  });

  it('is not tried a third time', async () => {
    let requests = 0;
    const server = await serve((_, socket) => {
      requests += 1;
      if (requests === 1) socket.write(answer('200 OK', {}, 'picture'));
      else socket.end();
    });
    const origin = await closeLater(httpOrigin({ policy: addressPolicy({ allow: [server.host] }) }));
    await origin.fetch(`http://${server.host}/`, signal);
    await turn();
    expect(await origin.fetch(`http://${server.host}/`, signal)).toMatchObject({ status: 'unreachable' });
    expect(requests).toBe(3);
  });

  it('is the only kind that is tried twice', async () => {
    let requests = 0;
    const server = await serve((_, socket) => {
      requests += 1;
      socket.end();
    });
    const origin = await closeLater(httpOrigin({ policy: addressPolicy({ allow: [server.host] }) }));
    expect(await origin.fetch(`http://${server.host}/`, signal)).toMatchObject({ status: 'unreachable' });
    expect(requests).toBe(1);
  });
});

describe('an answer that goes on for ever beside its body', () => {
  it.each([
    ['the reason', 'HTTP/1.1 200 ', 'O'],
    ['early hints', '', 'HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n'],
    ['the extension of a chunk', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;', 'a'],
    ['the size of a chunk', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n', '0'],
  ])('is too_large, its connection is closed, and it is not asked for again: %s', async (_, start, more) => {
    const block = Buffer.from(more.repeat(10_000));
    const server = await serve((_path, socket) => {
      socket.write(start);
      const goOn = () => socket.writable && socket.write(block, () => goOn());
      goOn();
    });
    // A clock that stands still: no deadline ends it.
    const origin = await closeLater(
      httpOrigin({ policy: addressPolicy({ allow: [server.host] }), maxBytes: 1 << 20, clock: manualClock() }),
    );
    expect(await origin.fetch(`http://${server.host}/`, signal)).toMatchObject({ status: 'too_large' });
    await server.quiet();
    expect(server.connections).toBe(1);
  });

  it('is told from many answers on one connection', async () => {
    const body = Buffer.alloc(100_000);
    const server = await serve((_, socket) => void socket.write(answer('200 OK', {}, body)));
    const origin = await closeLater(
      httpOrigin({ policy: addressPolicy({ allow: [server.host] }), maxBytes: body.length }),
    );
    for (let time = 0; time < 10; time += 1) {
      expect(await origin.fetch(`http://${server.host}/${time}`, signal)).toEqual({ status: 'ok', bytes: body });
      await turn();
    }
    expect(server.connections).toBe(1);
  });
});

describe('behind a proxy', () => {
  interface Proxy {
    readonly url: URL;
    /** What it was asked for, as `GET http://…` or `CONNECT host:port`. */
    readonly asked: string[];
    readonly headers: IncomingHttpHeaders[];
    stop(): Promise<void>;
  }

  /** A forward proxy that answers plain requests itself, and whose tunnels lead to somebody who speaks no TLS. */
  async function proxy(): Promise<Proxy> {
    const asked: string[] = [];
    const headers: IncomingHttpHeaders[] = [];
    const server: Server = createServer((request, response) => {
      asked.push(`${request.method} ${request.url}`);
      headers.push(request.headers);
      response.end('by proxy');
    });
    const sockets = new Set<Socket>();
    server.on('connection', (socket: Socket) => sockets.add(socket));
    server.on('connect', (request, socket: Socket) => {
      asked.push(`CONNECT ${request.url}`);
      headers.push(request.headers);
      socket.on('error', () => {});
      socket.end('HTTP/1.1 200 OK\r\n\r\nno TLS');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return {
      url: new URL(`http://user:pass%40word@127.0.0.1:${(server.address() as AddressInfo).port}`),
      asked,
      headers,
      async stop() {
        for (const socket of sockets) socket.destroy();
        server.close();
        await once(server, 'close');
      },
    };
  }

  const open = async (resolved: readonly string[] | Error, allow: readonly string[] = []) => {
    const server = await serve((_, socket) => void socket.write(answer('200 OK', {}, 'direct')));
    const through = await closeLater(proxy());
    const origin = await closeLater(
      httpOrigin({
        proxy: through.url,
        policy: addressPolicy({
          allow: allow.map((entry) => entry.replace('HOST', server.host)),
          resolve: (_, callback) =>
            resolved instanceof Error
              ? callback(resolved, [])
              : callback(
                  null,
                  resolved.map((address) => ({ address, family: 4 })),
                ),
        }),
      }),
    );
    return { origin, server, through };
  };

  it('an http picture is asked for by its whole URL, with the proxy’s own password', async () => {
    const { origin, through } = await open(['93.184.215.14']);
    const result = await origin.fetch('http://pictures.example/a.jpg?b=c#d', signal);
    expect(result).toEqual({ status: 'ok', bytes: Buffer.from('by proxy') });
    expect(through.asked).toEqual(['GET http://pictures.example/a.jpg?b=c']);
    expect(through.headers[0]).toMatchObject({
      host: 'pictures.example',
      'accept-encoding': 'identity',
      'proxy-authorization': `Basic ${Buffer.from('user:pass@word').toString('base64')}`,
    });
  });

  it('an https picture goes through a tunnel, where nothing but TLS is spoken', async () => {
    const { origin, through } = await open(['93.184.215.14']);
    expect(await origin.fetch('https://pictures.example/', signal)).toMatchObject({ status: 'unreachable' });
    expect(through.asked).toEqual(['CONNECT pictures.example:443']);
    expect(through.headers[0]).toHaveProperty('proxy-authorization');
  });

  it('a name that does not resolve here is left to the proxy', async () => {
    const { origin } = await open(Object.assign(new Error('gone'), { code: 'ENOTFOUND' }));
    expect(await origin.fetch('http://pictures.example/', signal)).toMatchObject({ status: 'ok' });
  });

  it.each([
    ['literals', 'http://127.0.0.1/', ['93.184.215.14']],
    ['disguised literals', 'http://[::ffff:a9fe:a9fe]/', ['93.184.215.14']],
    ['names that resolve here to a private address', 'http://pictures.example/', ['93.184.215.14', '10.0.0.1']],
    ['names of one label', 'http://redis/', ['93.184.215.14']],
    ['names of a private network', 'http://metadata.google.internal/', ['93.184.215.14']],
    ['names of this machine', 'https://a.localhost./', ['93.184.215.14']],
    ['other ports', 'http://pictures.example:6379/', ['93.184.215.14']],
  ])('%s are refused, and the proxy hears of nothing', async (_, url, resolved) => {
    const { origin, through } = await open(resolved);
    expect(await origin.fetch(url, signal)).toMatchObject({ status: 'refused' });
    expect(through.asked).toEqual([]);
  });

  it('an origin of the allow-list is dialled directly', async () => {
    const { origin, server, through } = await open(['93.184.215.14'], ['HOST']);
    expect(await origin.fetch(`http://${server.host}/`, signal)).toEqual({
      status: 'ok',
      bytes: Buffer.from('direct'),
    });
    expect(through.asked).toEqual([]);
  });

  it('that is dead every picture is unreachable', async () => {
    const { origin, through } = await open(['93.184.215.14']);
    await through.stop();
    closing.splice(closing.indexOf(through), 1);
    expect(await origin.fetch('http://pictures.example/', signal)).toMatchObject({ status: 'unreachable' });
    expect(await origin.fetch('https://pictures.example/', signal)).toMatchObject({ status: 'unreachable' });
  });
});
