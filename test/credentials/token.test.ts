import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { manualClock } from '#mner/clock.js';
import { tokenEndpoint, tokenFile } from '#mner/credentials/token.js';

describe('a token from a file', () => {
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'mner-token-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('is the one that the file holds now', async () => {
    const path = join(folder, 'token');
    writeFileSync(path, 'first\n');
    const token = tokenFile(path, 'kafka_sasl_token_file');
    expect(await token()).toBe('first');
    writeFileSync(path, 'the second\n');
    expect(await token()).toBe('the second');
    writeFileSync(path, '');
    expect(await token()).toBe('the second');
  });

  it('that is empty or away at the start is one sentence', () => {
    const path = join(folder, 'token');
    expect(() => tokenFile(path, 'kafka_sasl_token_file')).toThrow(
      `kafka_sasl_token_file (${path}) cannot be read: it does not exist.`,
    );
    writeFileSync(path, '\n');
    expect(() => tokenFile(path, 'kafka_sasl_token_file')).toThrow(`kafka_sasl_token_file (${path}) is empty.`);
  });
});

describe('a token from an endpoint', () => {
  const SECRET = 'hunter2:/+ü';
  let server: Server;
  let url = '';
  let asked: { authorization: string | undefined; body: string }[] = [];
  let answer: (response: ServerResponse, request: IncomingMessage) => void;
  const json = (status: number, body: unknown) => (response: ServerResponse) =>
    void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));

  beforeEach(async () => {
    asked = [];
    server = createServer(async (request, response) => {
      asked.push({ authorization: request.headers.authorization, body: await text(request) });
      answer(response, request);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/oauth/token?tenant=hidden`;
  });
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  const source = (more: { scope?: string; timeoutMs?: number; clock?: ReturnType<typeof manualClock> } = {}) =>
    tokenEndpoint({ url, clientId: 'mner worker', clientSecret: () => SECRET, ...more });

  it('is asked for by the grant of client credentials, with scope and encoded names', async () => {
    answer = json(200, { access_token: 'abc', expires_in: 300 });
    expect(await source({ scope: 'kafka read' })()).toBe('abc');
    const basic = Buffer.from('mner+worker:hunter2%3A%2F%2B%C3%BC').toString('base64');
    expect(asked).toEqual([
      { authorization: `Basic ${basic}`, body: 'grant_type=client_credentials&scope=kafka+read' },
    ]);
  });

  it('is kept until shortly before it ends, and those who ask at once share one request', async () => {
    const clock = manualClock();
    let serial = 0;
    answer = (response) => json(200, { access_token: `t${++serial}`, expires_in: 600 })(response);
    const token = source({ clock });
    expect(await Promise.all([token(), token(), token()])).toEqual(['t1', 't1', 't1']);
    clock.advance(539_000);
    expect(await token()).toBe('t1');
    clock.advance(2000);
    expect(await token()).toBe('t2');
    expect(asked).toHaveLength(2);
  });

  it('that ends soon is asked for anew before a connection proves itself again, 10 seconds before the end', async () => {
    const clock = manualClock();
    answer = json(200, { access_token: 'brief', expires_in: 30 });
    const token = source({ clock });
    await token();
    clock.advance(14_000);
    await token();
    expect(asked).toHaveLength(1);
    clock.advance(2000);
    await token();
    expect(asked).toHaveLength(2);
  });

  it.each([
    [
      'refuses the client',
      json(401, { error: 'invalid_client', error_description: SECRET }),
      'authentication_failed',
      'refuses the client (invalid_client, status 401).',
    ],
    [
      'answers with what is no error code',
      json(400, { error: `Bad ${SECRET}` }),
      'authentication_failed',
      'refuses the client (status 400).',
    ],
    ['is overloaded', json(429, {}), 'broker_unavailable', 'fails (status 429).'],
    ['fails', json(503, null), 'broker_unavailable', 'fails (status 503).'],
    ['answers without a token', json(200, { token: 'x' }), 'broker_unavailable', 'answers without a token.'],
    [
      'sends us elsewhere',
      (response: ServerResponse) => void response.writeHead(307, { location: 'http://127.0.0.1:1/' }).end(),
      'broker_unavailable',
      /^does not answer: .*\.$/,
    ],
    [
      'hangs up',
      (response: ServerResponse) => void response.destroy(),
      'broker_unavailable',
      'does not answer: UND_ERR_SOCKET.',
    ],
    ['says nothing', () => {}, 'broker_unavailable', 'does not answer: nothing came within 100 ms.'],
  ])('of a server that %s: its code and one sentence without a secret', async (what, reply, code, said) => {
    answer = reply;
    const error: unknown = await source(what === 'says nothing' ? { timeoutMs: 100 } : {})().catch(
      (caught: unknown) => caught,
    );
    expect(error).toMatchObject({ code });
    const { message } = error as Error;
    const start = `The token endpoint ${new URL(url).origin} `;
    expect(message.startsWith(start)).toBe(true);
    if (typeof said === 'string') expect(message.slice(start.length)).toBe(said);
    else expect(message.slice(start.length)).toMatch(said);
    expect(message).not.toMatch(/hunter2|hidden/);
  });

  it('comes after a failure, when the server has recovered', async () => {
    const token = source();
    answer = json(503, {});
    await expect(token()).rejects.toMatchObject({ code: 'broker_unavailable' });
    answer = json(200, { access_token: 'late' });
    expect(await token()).toBe('late');
  });
});
