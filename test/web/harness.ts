import { request } from 'node:http';
import { onTestFinished } from 'vitest';
import type { Event } from '#mner/telemetry/events.js';
import { createWebServer, type WebOptions } from '#mner/web/server.js';

/** What the playground's way through the stations would answer; the tests of the pipeline look at the real one. */
export const RECORD = { schema: 'tweet-entities/1', tweet_id: '1', entities: [] };

/** A running server on a free port of loopback, stopped at the end of the test. */
export async function serve(options: Partial<WebOptions> = {}) {
  const events: Event[] = [];
  const server = createWebServer({
    port: 0,
    metrics: { contentType: 'text/plain; version=0.0.4', render: async () => 'mner_tweets_total 1\n' },
    health: { live: () => ({ ok: true, reasons: [] }), ready: () => ({ ok: true, reasons: [] }) },
    info: () => ({ version: '0.1.0' }),
    emit: (event) => events.push(event),
    ...options,
  });
  const port = await server.start();
  onTestFinished(() => server.stop());
  return { server, port, events, url: (path: string) => `http://127.0.0.1:${port}${path}` };
}

export interface RawAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

/** A request whose headers are ours alone, `Host` among them. */
export function raw(
  port: number,
  options: { method?: string; path?: string; headers?: Record<string, string>; body?: string },
): Promise<RawAnswer> {
  const { method = 'GET', path = '/livez', headers = {}, body } = options;
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, method, path, headers, agent: false }, async (response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of response) chunks.push(chunk);
      resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks).toString() });
    });
    sent.on('error', reject);
    sent.end(body);
  });
}
