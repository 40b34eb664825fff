import type { Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { type Clock, manualClock } from '#mner/clock.js';
import { type AddressPolicy, addressPolicy } from '#mner/image/fetch/address.js';
import { type HttpOriginOptions, httpOrigin } from '#mner/image/fetch/http.js';
import type { MemoryPage } from '#mner/image/fetch/memory.js';
import type { Origin } from '#mner/image/port.js';
import { answer, type Behave, type EvilServer, evilServer } from '../evil-server.js';
import { originConformance } from '../origin-conformance.js';

const STATUS_LINES: Partial<Record<string, string>> = {
  not_found: '404 Not Found',
  rate_limited: '429 Too Many Requests',
  unreachable: '500 Internal Server Error',
};

originConformance('http', async (options) => {
  const pages = new Map<string, MemoryPage>();
  const server = await evilServer((path, socket) => {
    const page = pages.get(path) ?? 'not_found';
    if (page === 'silent') return;
    socket.write(typeof page === 'string' ? answer(STATUS_LINES[page] ?? '500') : answer('200 OK', {}, page));
  });
  const origin = httpOrigin({ ...options, policy: addressPolicy({ allow: [server.host] }) });
  return {
    origin,
    put(path, page) {
      pages.set(path, page);
      return `http://${server.host}${path}`;
    },
    async close() {
      await origin.stop();
      await server.stop();
    },
  };
});

describe('the http origin', () => {
  const { signal } = new AbortController();
  const closing: { stop(): Promise<void> }[] = [];
  afterEach(async () => {
    for (const one of closing.splice(0).reverse()) await one.stop();
  });
  const serve = async (behave: Behave): Promise<EvilServer> => {
    const server = await evilServer(behave);
    closing.push(server);
    return server;
  };
  const open = (options: HttpOriginOptions & { allow?: string[] }): Origin => {
    const policy = options.policy ?? addressPolicy({ allow: options.allow ?? [] });
    const origin = httpOrigin({ ...options, policy });
    closing.push(origin);
    return origin;
  };

  it.each([
    ['200 OK', 'ok'],
    ['203 Non-Authoritative', 'ok'],
    ['204 No Content', 'unreachable'],
    ['206 Partial Content', 'unreachable'],
    ['304 Not Modified', 'unreachable'],
    ['302 Found', 'unreachable'],
    ['400 Bad Request', 'unreachable'],
    ['401 Unauthorized', 'not_found'],
    ['403 Forbidden', 'not_found'],
    ['404 Not Found', 'not_found'],
    ['410 Gone', 'not_found'],
    ['451 Unavailable For Legal Reasons', 'not_found'],
    ['429 Too Many Requests', 'rate_limited'],
    ['500 Internal Server Error', 'unreachable'],
    ['503 Service Unavailable', 'unreachable'],
    ['999 Request Denied', 'unreachable'],
  ])('takes "%s" for %s', async (line, status) => {
    const server = await serve((_, socket) => void socket.write(answer(line)));
    expect(await open({ allow: [server.host] }).fetch(`http://${server.host}/`, signal)).toMatchObject({ status });
  });

  it('asks for the bytes as they are, says who it is, and nothing more', async () => {
    let asked = '';
    const server = await serve((_, socket, head) => {
      asked = head;
      socket.write(answer('200 OK'));
    });
    const origin = open({ allow: [server.host], userAgent: 'tester' });
    await origin.fetch(`http://${server.host}/a?b=c#d`, signal);
    expect(asked.trim().split('\r\n')).toEqual([
      'GET /a?b=c HTTP/1.1',
      `host: ${server.host}`,
      'connection: keep-alive',
      'accept: image/*',
      'accept-encoding: identity',
      'user-agent: tester',
    ]);
  });

  describe('under a policy', () => {
    /** Lets every URL pass, so that only the check at the dial stands between a name and its address. */
    const dialOnly = (resolved?: string[]): AddressPolicy => ({
      ...addressPolicy({
        ...(resolved && {
          resolve: (_, callback) =>
            callback(
              null,
              resolved.map((address) => ({ address, family: 4 })),
            ),
        }),
      }),
      refuseUrl: () => null,
    });

    it.each(['http://127.0.0.1', 'http://localhost', 'http://[::ffff:127.0.0.1]'])('never dials %s', async (base) => {
      const server = await serve((_, socket) => void socket.write(answer('200 OK')));
      const port = server.host.split(':')[1];
      const origin = open({ policy: dialOnly() });
      expect(await origin.fetch(`${base}:${port}/`, signal)).toMatchObject({ status: 'refused' });
      expect(server.connections).toBe(0);
    });

    it('never dials a name with a public and a private answer', async () => {
      const server = await serve((_, socket) => void socket.write(answer('200 OK')));
      const port = server.host.split(':')[1];
      const origin = open({ policy: dialOnly(['93.184.215.14', '127.0.0.1']) });
      expect(await origin.fetch(`http://pictures.example:${port}/`, signal)).toMatchObject({ status: 'refused' });
      expect(server.connections).toBe(0);
    });

    it.each([
      'http://HOST/',
      'http://localhost:PORT/',
      'http://2130706433:PORT/',
      'http://[::ffff:7f00:1]:PORT/',
      '//HOST/',
      'http://user@HOST/',
      'http://169.254.169.254/',
      'file:///etc/passwd',
      'gopher://HOST/',
      'data:image/png;base64,AAAA',
    ])('does not follow a redirect to %s: the listener there sees no connection', async (target) => {
      const inner = await serve((_, socket) => void socket.write(answer('200 OK')));
      const port = inner.host.split(':')[1] ?? '';
      const location = target.replace('HOST', inner.host).replace('PORT', port);
      const outer = await serve((_, socket) => void socket.write(answer('302 Found', { location })));
      const origin = open({ allow: [outer.host] });
      expect(await origin.fetch(`http://${outer.host}/`, signal)).toMatchObject({ status: 'refused' });
      expect(inner.connections).toBe(0);
      // Nor when the URL's own check were wrong: the dial is checked by itself.
      const blind = addressPolicy({ allow: [outer.host] });
      const careless = open({ policy: { ...blind, refuseUrl: (url) => (url.protocol === 'http:' ? null : 'scheme') } });
      expect(await careless.fetch(`http://${outer.host}/`, signal)).toMatchObject({ status: 'refused' });
      expect(inner.connections).toBe(0);
    });

    it('ignores the proxy variables', async () => {
      const proxy = await serve((_, socket) => void socket.write(answer('200 OK')));
      const server = await serve((_, socket) => void socket.write(answer('200 OK', {}, 'direct')));
      const before = process.env.http_proxy;
      process.env.http_proxy = `http://${proxy.host}`;
      try {
        const result = await open({ allow: [server.host] }).fetch(`http://${server.host}/`, signal);
        expect(result).toEqual({ status: 'ok', bytes: Buffer.from('direct') });
        expect(proxy.connections).toBe(0);
      } finally {
        if (before === undefined) delete process.env.http_proxy;
        else process.env.http_proxy = before;
      }
    });
  });

  it('follows three redirects, not four, and no loop', async () => {
    const server = await serve((path, socket) => {
      const left = Number(path.slice(1));
      if (path === '/loop') socket.write(answer('301', { location: '/loop' }));
      else if (left === 0) socket.write(answer('200 OK', {}, 'there'));
      else socket.write(answer('307 Temporary Redirect', { location: `/${left - 1}` }));
    });
    const origin = open({ allow: [server.host] });
    expect(await origin.fetch(`http://${server.host}/3`, signal)).toEqual({
      status: 'ok',
      bytes: Buffer.from('there'),
      redirects: ['/2', '/1', '/0'].map((path) => `http://${server.host}${path}`),
    });
    expect(await origin.fetch(`http://${server.host}/4`, signal)).toMatchObject({ status: 'refused' });
    expect(await origin.fetch(`http://${server.host}/loop`, signal)).toMatchObject({ status: 'refused' });
    await server.asked(4 + 4 + 4);
  });

  it.each([
    ['data:image/png;base64,AAAA', 'data:…'],
    ['file:///etc/passwd', 'file:…'],
    ['http://user:secret@127.0.0.1/a?token=1', 'http://127.0.0.1/a'],
  ])('shows a redirect to %s as %s', async (location, shown) => {
    const server = await serve((_, socket) => void socket.write(answer('302 Found', { location })));
    const result = await open({ allow: [server.host] }).fetch(`http://${server.host}/`, signal);
    expect(result).toMatchObject({ status: 'refused', redirects: [shown] });
  });

  describe('with a host that', () => {
    /** Starts a fetch, waits until the host has been asked, and moves the clock past the deadline. */
    const late = async (behave: Behave) => {
      const clock = manualClock();
      const server = await serve(behave);
      const result = open({ allow: [server.host], clock }).fetch(`http://${server.host}/`, signal);
      await server.asked(1);
      clock.advance(4_999);
      clock.advance(1);
      return { result: await result, server };
    };

    it('says nothing is timed_out, and its connection is closed', async () => {
      const { result, server } = await late(() => {});
      expect(result).toMatchObject({ status: 'timed_out' });
      await server.quiet();
    });

    it('drips is timed_out, and its connection is closed', async () => {
      const { result, server } = await late((_, socket) => {
        socket.write('HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n');
        const drip = () => socket.writable && socket.write('a', () => setImmediate(drip));
        setImmediate(drip);
      });
      expect(result.status).toBe('timed_out');
      await server.quiet();
    });

    it('announces more than it sends, and waits, is timed_out', async () => {
      const { result } = await late((_, socket) => void socket.write('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\na'));
      expect(result).toMatchObject({ status: 'timed_out' });
    });

    it('announces more than it sends, and hangs up, is unreachable', async () => {
      const server = await serve((_, socket) => void socket.end('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\na'));
      expect(await open({ allow: [server.host] }).fetch(`http://${server.host}/`, signal)).toMatchObject({
        status: 'unreachable',
      });
    });

    it('sends more than it announces is believed no further than that', async () => {
      const server = await serve((_, socket) => {
        socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n');
        socket.write(Buffer.alloc(100_000, 'a'));
      });
      const result = await open({ allow: [server.host], maxBytes: 1000 }).fetch(`http://${server.host}/`, signal);
      expect(result).toEqual({ status: 'ok', bytes: Buffer.from('aa') });
    });

    it('announces too much is too_large before a byte of it is read', async () => {
      const server = await serve(
        (_, socket) => void socket.write('HTTP/1.1 200 OK\r\ncontent-length: 9000000000\r\n\r\n'),
      );
      expect(await open({ allow: [server.host] }).fetch(`http://${server.host}/`, signal)).toMatchObject({
        status: 'too_large',
      });
      await server.quiet();
    });

    it.each(['transfer-encoding: chunked', 'connection: close'])(
      'never ends (%s) is too_large, and is cut off',
      async (header) => {
        const chunk = header.startsWith('transfer') ? `1000\r\n${'a'.repeat(0x1000)}\r\n` : 'a'.repeat(0x1000);
        const server = await serve((_, socket) => {
          socket.write(`HTTP/1.1 200 OK\r\n${header}\r\n\r\n`);
          const more = () => socket.writable && socket.write(chunk, () => more());
          more();
        });
        const origin = open({ allow: [server.host], maxBytes: 100_000 });
        expect(await origin.fetch(`http://${server.host}/`, signal)).toMatchObject({ status: 'too_large' });
        await server.quiet();
      },
    );

    it.each(['gzip', 'br', 'deflate, gzip'])(
      'compresses unasked (%s) is unreadable, and nothing is unpacked',
      async (encoding) => {
        const bomb = gzipSync(Buffer.alloc(1_000_000));
        const server = await serve(
          (_, socket) => void socket.write(answer('200 OK', { 'content-encoding': encoding }, bomb)),
        );
        expect(await open({ allow: [server.host] }).fetch(`http://${server.host}/`, signal)).toMatchObject({
          status: 'unreadable',
        });
      },
    );

    it('speaks no HTTP is unreachable', async () => {
      const server = await serve((_, socket) => void socket.end('SSH-2.0-OpenSSH_9.2\r\n'));
      expect(await open({ allow: [server.host] }).fetch(`http://${server.host}/`, signal)).toMatchObject({
        status: 'unreachable',
      });
    });

    it('sends endless headers is unreachable', async () => {
      const server = await serve((_, socket) => {
        socket.write('HTTP/1.1 200 OK\r\n');
        const more = () => socket.writable && socket.write(`x: ${'a'.repeat(4000)}\r\n`, () => more());
        more();
      });
      expect(await open({ allow: [server.host] }).fetch(`http://${server.host}/`, signal)).toMatchObject({
        status: 'unreachable',
      });
      await server.quiet();
    });

    it('is dead is unreachable', async () => {
      const server = await serve(() => {});
      await server.stop();
      closing.splice(closing.indexOf(server), 1);
      expect(await open({ allow: [server.host] }).fetch(`http://${server.host}/`, signal)).toMatchObject({
        status: 'unreachable',
      });
    });

    it('has no address is unreachable', async () => {
      const gone = Object.assign(new Error('gone'), { code: 'ENOTFOUND' });
      const origin = open({ policy: addressPolicy({ resolve: (_, callback) => callback(gone, []) }) });
      expect(await origin.fetch('http://pictures.example/?token=secret', signal)).toEqual({
        status: 'unreachable',
        detail: 'the connection failed (ENOTFOUND)',
      });
    });

    it('never resolves is timed_out', async () => {
      const clock: Clock & { advance(ms: number): void } = manualClock();
      const origin = open({ clock, policy: addressPolicy({ resolve: () => {} }) });
      const result = origin.fetch('http://pictures.example/', signal);
      clock.advance(5_000);
      expect(await result).toMatchObject({ status: 'timed_out' });
    });
  });

  it('asks one host for no more than its share at once', async () => {
    const held: Socket[] = [];
    let most = 0;
    const server = await serve((_, socket) => {
      held.push(socket);
      most = Math.max(most, held.length);
    });
    const origin = open({ allow: [server.host], hosts: { perHost: 2 } });
    const results = Array.from({ length: 5 }, (_, index) => origin.fetch(`http://${server.host}/${index}`, signal));
    for (let done = 0; done < 5; done += 1) {
      await server.asked(Math.min(5, done + 2));
      held.shift()?.write(answer('200 OK'));
      await Promise.race(results.slice(done));
    }
    expect(await Promise.all(results)).toHaveLength(5);
    expect(most).toBe(2);
  });
});
