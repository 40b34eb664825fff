import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { manualClock } from '#mner/clock.js';
import { addressPolicy } from '#mner/image/fetch/address.js';
import { type HttpOriginOptions, httpOrigin } from '#mner/image/fetch/http.js';
import { seen } from '../../support/seen.js';
import { answer, type Behave, evilServer } from '../evil-server.js';

const { signal } = new AbortController();
const closing: { stop(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of closing.splice(0).reverse()) await one.stop();
});

async function world(behave: Behave, options: HttpOriginOptions = {}) {
  const clock = manualClock(Date.parse('Sun, 06 Nov 1994 12:00:00 GMT'));
  let requests = 0;
  const server = await evilServer((path, socket, head) => {
    requests += 1;
    behave(path, socket, head);
  });
  const origin = httpOrigin({ ...options, clock, policy: addressPolicy({ allow: [server.host] }) });
  closing.push(server, origin);
  const fetch = (path = '/') => origin.fetch(`http://${server.host}${path}`, signal);
  return { clock, fetch, requests: () => requests };
}

describe('a host that asks for a pause', () => {
  it.for([
    ['429 Too Many Requests', '30', 'rate_limited', 30_000],
    ['429 Too Many Requests', 'Sun, 06 Nov 1994 12:00:20 GMT', 'rate_limited', 20_000],
    ['429 Too Many Requests', '86400', 'rate_limited', 900_000],
    ['429 Too Many Requests', 'never', 'rate_limited', 1_000],
    ['503 Service Unavailable', '30', 'unreachable', 30_000],
  ] as const)('fault 40: is left alone after "%s" with "%s"', async ([line, after, status, ms], { task }) => {
    const { clock, fetch, requests } = await world((_, socket) => {
      socket.write(requests() === 1 ? answer(line, { 'retry-after': after }) : answer('200 OK'));
    });
    expect(await fetch('/a')).toMatchObject({ status, retryMs: ms });
    expect(await fetch('/b')).toMatchObject({ status: 'rate_limited', retryMs: ms });
    clock.advance(ms - 1);
    expect(await fetch('/b')).toMatchObject({ status: 'rate_limited', retryMs: 1 });
    expect(requests()).toBe(1);
    clock.advance(1);
    expect(await fetch('/b')).toMatchObject({ status: 'ok' });
    seen(task, `${line.slice(0, 3)} with Retry-After ${after}: left alone for ${ms / 1000} s`);
  });

  it('is left alone when a redirect leads to it, too', async () => {
    const { fetch, requests } = await world((path, socket) => {
      socket.write(
        path === '/a' ? answer('302 Found', { location: '/b' }) : answer('429 Slow down', { 'retry-after': '9' }),
      );
    });
    expect(await fetch('/a')).toMatchObject({ status: 'rate_limited' });
    expect(await fetch('/a')).toMatchObject({ status: 'rate_limited' });
    expect(requests()).toBe(2);
  });

  it('is asked again at once after a failure that names no pause', async () => {
    const { fetch, requests } = await world((_, socket) => void socket.write(answer('503 Service Unavailable')));
    for (let time = 0; time < 3; time += 1) expect(await fetch()).toMatchObject({ status: 'unreachable' });
    expect(requests()).toBe(3);
  });
});

describe('a host that fails again and again', () => {
  const hosts = { circuitFailures: 3, circuitPauseMs: 10_000 };

  it('is left alone, is tried once, and is well again', async () => {
    const { clock, fetch, requests } = await world(
      (_, socket) => void socket.write(answer(requests() <= 3 ? '500 Internal Server Error' : '200 OK')),
      { hosts },
    );
    for (let time = 0; time < 3; time += 1) await fetch();
    expect(await fetch()).toMatchObject({ status: 'unreachable', retryMs: 10_000 });
    expect(requests()).toBe(3);
    clock.advance(10_000);
    expect(await fetch()).toMatchObject({ status: 'ok' });
    expect(await fetch()).toMatchObject({ status: 'ok' });
    expect(requests()).toBe(5);
  });

  it('by hanging up, too', async () => {
    const { fetch, requests } = await world((_, socket) => void socket.destroy(), { hosts });
    for (let time = 0; time < 5; time += 1) expect(await fetch()).toMatchObject({ status: 'unreachable' });
    expect(requests()).toBe(3);
  });

  it('by a scheme that its port does not speak is not left alone by the other', async () => {
    let handshakes = 0;
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', (chunk) => {
        if (chunk.toString('latin1').startsWith('GET ')) return socket.end(answer('200 OK', { connection: 'close' }));
        handshakes += 1;
        return socket.destroy();
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const origin = httpOrigin({ hosts, policy: addressPolicy({ allow: [host] }) });
    closing.push({ stop: async () => void server.close() }, origin);
    for (let time = 0; time < 5; time += 1)
      expect(await origin.fetch(`https://${host}/${time}`, signal)).toMatchObject({ status: 'unreachable' });
    expect(handshakes).toBe(3);
    expect(await origin.fetch(`http://${host}/`, signal)).toMatchObject({ status: 'ok' });
  });

  it.each(['404 Not Found', '403 Forbidden', '204 No Content', '302 Found'])(
    'is not one that answers "%s"',
    async (line) => {
      const { fetch, requests } = await world((_, socket) => void socket.write(answer(line)), { hosts });
      for (let time = 0; time < 5; time += 1) await fetch();
      expect(requests()).toBe(5);
    },
  );

  it('is not one whose pictures are too large', async () => {
    const { fetch } = await world((_, socket) => void socket.write(answer('200 OK', {}, 'picture')), {
      hosts,
      maxBytes: 3,
    });
    for (let time = 0; time < 5; time += 1) expect(await fetch()).toMatchObject({ status: 'too_large' });
  });
});
