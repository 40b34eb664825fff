import { expect, test } from 'vitest';
import { manualClock } from '#mner/clock.js';
import type { ErrorCode } from '#mner/errors.js';
import type { Extract } from '#mner/web/extract.js';
import { RECORD, raw, serve } from './harness.js';

const found: Extract = async () => ({ ok: true, record: RECORD });

/** An extraction that ends when it is told to, or never. */
function held() {
  const begun: AbortSignal[] = [];
  let release = () => {};
  const end = new Promise<void>((resolve) => {
    release = resolve;
  });
  let arrived = () => {};
  const extract: Extract = async (_bytes, signal) => {
    begun.push(signal);
    arrived();
    await end;
    return { ok: true, record: RECORD };
  };
  /** Resolves when that many extractions have begun. */
  const running = (count: number) =>
    new Promise<void>((resolve) => {
      arrived = () => {
        if (begun.length >= count) resolve();
      };
      arrived();
    });
  return { extract, begun, running, release };
}

function post(url: string, body: string | Buffer = '{}', headers: Record<string, string> = {}): Promise<Response> {
  return fetch(url, { method: 'POST', body, headers });
}

test('the body goes in byte for byte, the record comes out', async () => {
  const bodies: Buffer[] = [];
  const { url } = await serve({
    extract: async (bytes) => {
      bodies.push(bytes);
      return { ok: true, record: RECORD };
    },
  });
  const sent = Buffer.from([0x7b, 0xff, 0x7d]);
  const response = await post(url('/v1/extract'), sent);
  expect([response.status, await response.json()]).toEqual([200, RECORD]);
  expect(bodies).toEqual([sent]);
});

test.each<[ErrorCode, number]>([
  ['bad_json', 400],
  ['bad_utf8', 400],
  ['too_deep', 400],
  ['text_too_long', 413],
  ['unknown_shape', 422],
  ['no_id', 422],
  ['no_text', 422],
  ['inference_poison', 422],
  ['inference_unavailable', 503],
  ['broker_unavailable', 503],
  ['internal', 500],
])('%s is %i', async (code, status) => {
  const { url } = await serve({ extract: async () => ({ ok: false, code, message: 'Why.' }) });
  const response = await post(url('/v1/extract'));
  expect([response.status, await response.json()]).toEqual([status, { error: { code, message: 'Why.' } }]);
});

test('only POST is taken', async () => {
  const { url } = await serve({ extract: found });
  const response = await fetch(url('/v1/extract'));
  expect([response.status, response.headers.get('allow')]).toEqual([405, 'POST']);
});

test('a body of 8 MiB is taken, a byte more is not, with its length or without', async () => {
  const { url } = await serve({ extract: async (bytes) => ({ ok: true, record: { length: bytes.length } }) });
  const limit = 8 * 1024 * 1024;
  const full = await post(url('/v1/extract'), Buffer.alloc(limit));
  expect([full.status, await full.json()]).toEqual([200, { length: limit }]);
  const over = await post(url('/v1/extract'), Buffer.alloc(limit + 1));
  expect([over.status, await over.json()]).toEqual([
    413,
    { error: { code: 'body_too_large', message: 'The body is larger than 8 MiB.' } },
  ]);
  const stream = new Blob([Buffer.alloc(limit), 'x']).stream();
  const chunked = await fetch(url('/v1/extract'), { method: 'POST', body: stream, duplex: 'half' } as RequestInit);
  expect(chunked.status).toBe(413);
});

test('a length beyond any sense is refused before the body', async () => {
  const { port } = await serve({ extract: found });
  const headers = { host: 'localhost', 'content-length': '1000000000000', expect: '100-continue' };
  const answer = await new Promise<number>((resolve, reject) => {
    raw(port, { method: 'POST', path: '/v1/extract', headers }).then(({ status }) => resolve(status), reject);
  });
  expect(answer).toBe(413);
});

test('a page of another site cannot post, the playground itself and programs can', async () => {
  const { port } = await serve({ extract: found });
  const status = async (headers: Record<string, string>) =>
    (
      await raw(port, {
        method: 'POST',
        path: '/v1/extract',
        headers: { host: `localhost:${port}`, ...headers },
        body: '{}',
      })
    ).status;
  expect(await status({})).toBe(200);
  expect(await status({ origin: `http://localhost:${port}` })).toBe(200);
  expect(await status({ origin: 'https://evil.example' })).toBe(403);
  expect(await status({ origin: 'null' })).toBe(403);
  expect(await status({ origin: 'http://localhost:1' })).toBe(403);
});

test('an extraction that takes too long is given up with 503', async () => {
  const clock = manualClock();
  const { extract, begun, running } = held();
  const { url } = await serve({ extract, clock, extractTimeoutMs: 1000 });
  const pending = post(url('/v1/extract'));
  await running(1);
  clock.advance(1000);
  const response = await pending;
  expect([response.status, await response.json()]).toEqual([
    503,
    { error: { code: 'timed_out', message: 'The extraction took too long.' } },
  ]);
  expect(begun[0]?.aborted).toBe(true);
});

test('the seventeenth extraction at once is told to come again', async () => {
  const { extract, running, release } = held();
  const { url } = await serve({ extract });
  const pending = Array.from({ length: 16 }, () => post(url('/v1/extract')));
  await running(16);
  const refused = await post(url('/v1/extract'));
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1']);
  expect(await refused.json()).toMatchObject({ error: { code: 'busy' } });
  release();
  expect((await Promise.all(pending)).map(({ status }) => status)).toEqual(Array(16).fill(200));
  expect((await post(url('/v1/extract'))).status).toBe(200);
});

test('a client that goes away ends its extraction', async () => {
  const { extract, begun, running } = held();
  const { url, events } = await serve({ extract });
  const controller = new AbortController();
  const pending = fetch(url('/v1/extract'), { method: 'POST', body: '{}', signal: controller.signal }).catch(() => {});
  await running(1);
  const ended = new Promise<void>((resolve) => begun[0]!.addEventListener('abort', () => resolve(), { once: true }));
  controller.abort();
  await Promise.all([pending, ended]);
  expect(events).toEqual([]);
});

test('stop ends what runs', async () => {
  const { extract, begun, running } = held();
  const { url, server } = await serve({ extract });
  const pending = post(url('/v1/extract')).catch(() => undefined);
  await running(1);
  await server.stop();
  await pending;
  expect(begun[0]?.aborted).toBe(true);
});

test('an extraction that throws is 500, and its words stay inside', async () => {
  const { url, events } = await serve({
    extract: async () => {
      throw new Error('details');
    },
  });
  const response = await post(url('/v1/extract'));
  expect([response.status, await response.text()]).toEqual([
    500,
    '{"error":{"code":"internal","message":"This is a defect of mner-stream."}}\n',
  ]);
  expect(events).toHaveLength(1);
});
