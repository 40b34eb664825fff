import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { MnerError } from '#mner/errors.js';
import { createTelemetry } from '#mner/telemetry/telemetry.js';
import { createWebServer } from '#mner/web/server.js';
import { raw, serve } from './harness.js';

const code = async (response: Response) => ((await response.json()) as { error: { code: string } }).error.code;

test('/metrics is what Prometheus reads from the real registry', async () => {
  const { metrics, emit } = createTelemetry({ log: { level: 'silent' }, nodeMetrics: false });
  emit({ type: 'tweet', outcome: 'output' });
  const { url } = await serve({ metrics });
  const response = await fetch(url('/metrics'));
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
  expect(await response.text()).toContain('mner_tweets_total{outcome="output"} 1\n');
});

test('/readyz and /livez tell 503 with reasons, and 200 when all is well', async () => {
  const { health } = createTelemetry({ log: { level: 'silent' }, nodeMetrics: false });
  const { url } = await serve({ health });
  const cold = await fetch(url('/readyz'));
  expect(cold.status).toBe(503);
  expect(await cold.json()).toEqual({
    ok: false,
    reasons: ['The models are not warm yet.', 'The worker has not joined its consumer group.'],
  });
  expect((await fetch(url('/livez'))).status).toBe(200);
  health.setWarm(true);
  health.askJoined(() => true);
  const ready = await fetch(url('/readyz?from=kubelet'));
  expect([ready.status, await ready.json()]).toEqual([200, { ok: true, reasons: [] }]);
  health.fail('The inference process keeps failing.');
  expect((await fetch(url('/livez'))).status).toBe(503);
});

test('/info is JSON that no cache keeps', async () => {
  const { url } = await serve();
  const response = await fetch(url('/info'));
  expect(await response.json()).toEqual({ version: '0.1.0' });
  expect(response.headers.get('content-type')).toBe('application/json; charset=utf-8');
  expect(response.headers.get('cache-control')).toBe('no-store');
  expect(response.headers.get('x-content-type-options')).toBe('nosniff');
});

test('HEAD has the headers of GET and no body', async () => {
  const { port } = await serve();
  const answer = await raw(port, { method: 'HEAD', path: '/metrics', headers: { host: 'localhost' } });
  expect([answer.status, answer.headers['content-length'], answer.body]).toEqual([200, '20', '']);
});

test('an unknown path is 404, a wrong method 405 with what is allowed', async () => {
  const { url } = await serve();
  const missing = await fetch(url('/nothing'));
  expect([missing.status, await code(missing)]).toEqual([404, 'not_found']);
  const wrong = await fetch(url('/metrics'), { method: 'DELETE' });
  expect([wrong.status, wrong.headers.get('allow'), await code(wrong)]).toEqual([
    405,
    'GET, HEAD',
    'method_not_allowed',
  ]);
});

test('without an extraction there is no playground', async () => {
  const { url } = await serve();
  expect((await fetch(url('/'))).status).toBe(404);
  expect((await fetch(url('/v1/extract'), { method: 'POST', body: '{}' })).status).toBe(404);
});

test('on loopback only names of this machine are answered, against DNS rebinding', async () => {
  const { port } = await serve();
  const status = async (host: string) => (await raw(port, { headers: { host } })).status;
  for (const host of [
    'localhost',
    `localhost:${port}`,
    '127.0.0.1',
    `127.0.0.1:${port}`,
    '[::1]:80',
    '127.0.0.2',
    'LocalHost',
  ]) {
    expect([host, await status(host)]).toEqual([host, 200]);
  }
  for (const host of [
    'evil.example',
    `evil.example:${port}`,
    '127.0.0.1.evil.example',
    'localhost.evil.example',
    '10.0.0.1',
  ]) {
    expect([host, await status(host)]).toEqual([host, 421]);
  }
});

test('bound to the network, any name is answered', async () => {
  const { port } = await serve({ host: '0.0.0.0' });
  expect((await raw(port, { headers: { host: 'worker-1.mner.svc' } })).status).toBe(200);
});

test('headers over 16 KiB are refused', async () => {
  const { port } = await serve();
  const answer = await raw(port, { headers: { host: 'localhost', 'x-long': 'x'.repeat(17_000) } });
  expect(answer.status).toBe(431);
});

test('what is not HTTP is answered with 400', async () => {
  const { port } = await serve();
  const answer = await new Promise<string>((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('hello\r\n\r\n'));
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk;
    });
    socket.on('close', () => resolve(text));
    socket.on('error', reject);
  });
  expect(answer).toMatch(/^HTTP\/1\.1 400 /);
});

test('a handler that fails is 500 without details, and a note with the error', async () => {
  const { url, events } = await serve({
    info: () => {
      throw new Error('details');
    },
  });
  const response = await fetch(url('/info'));
  expect([response.status, await response.json()]).toEqual([
    500,
    { error: { code: 'internal', message: 'This is a defect of mner-stream.' } },
  ]);
  expect(events).toEqual([
    expect.objectContaining({ type: 'note', level: 'error', message: 'An HTTP request failed.' }),
  ]);
});

test('a port that is taken is named, and can be tried again', async () => {
  const first = await serve();
  const second = createWebServer({
    port: first.port,
    metrics: { contentType: 'text/plain', render: async () => '' },
    health: { live: () => ({ ok: true, reasons: [] }), ready: () => ({ ok: true, reasons: [] }) },
    info: () => ({}),
    emit: () => {},
  });
  const error = await second.start().catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(MnerError);
  expect(error).toMatchObject({
    code: 'port_in_use',
    message: `The HTTP port ${first.port} on 127.0.0.1 is taken; choose another with MNER_HTTP_PORT (0 takes any free one).`,
  });
  await first.server.stop();
  expect(await second.start()).toBe(first.port);
  await second.stop();
});

test('an address that is not of this machine is a bad configuration', async () => {
  await expect(serve({ host: '192.0.2.1' })).rejects.toMatchObject({
    code: 'bad_config',
    message:
      'The HTTP server cannot bind to 192.0.2.1 port 0 (EADDRNOTAVAIL); http_host must be an address of this machine.',
  });
});

test('start and stop are safe in any order, and stop ends open connections at once', async () => {
  const { server, port } = await serve();
  expect(await server.start()).toBe(port);
  const socket = connect(port, '127.0.0.1');
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  await new Promise<void>((resolve) => socket.once('connect', () => resolve()));
  socket.on('error', () => {});
  await server.stop();
  await closed;
  await server.stop();
  const again = server.start();
  await server.stop();
  await again;
  await expect(fetch(`http://127.0.0.1:${await again}/livez`)).rejects.toThrow();
});
