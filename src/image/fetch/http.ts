import { isIP } from 'node:net';
import { Agent, buildConnector, type Dispatcher, request } from 'undici';
import { type Clock, systemClock } from '../../clock.js';
import { keyedLimiter } from '../limiter.js';
import type { Fetched, Origin } from '../port.js';
import { type AddressPolicy, AddressRefused, addressPolicy, bare } from './address.js';

export interface HttpOriginOptions {
  /** @default a policy without exceptions */
  readonly policy?: AddressPolicy;
  /** Milliseconds for the whole way: the wait for the host's slot, names, dials, redirects, the last byte. @default 5000 */
  readonly deadlineMs?: number;
  /** Bytes of a body; what is longer is cut off and `too_large`. @default 10485760 */
  readonly maxBytes?: number;
  /** @default 3 */
  readonly maxRedirects?: number;
  /** Requests that may be under way to one host at once. @default 16 */
  readonly perHost?: number;
  /** @default 'mner-stream' */
  readonly userAgent?: string;
  /** @default systemClock */
  readonly clock?: Clock;
}

type Failure = Exclude<Fetched, { status: 'ok' }>;
type Response = Dispatcher.ResponseData;

const REDIRECTS = new Set([301, 302, 303, 307, 308]);

/**
 * The real origin: HTTP(S) under the address policy. A connection that is kept alive was checked when it was dialled.
 * Proxy variables of the environment are ignored, since a proxy would dial what we refuse.
 */
export function httpOrigin(options: HttpOriginOptions = {}): Origin {
  const policy = options.policy ?? addressPolicy();
  const clock = options.clock ?? systemClock;
  const deadlineMs = options.deadlineMs ?? 5_000;
  const maxBytes = options.maxBytes ?? 10 * 1024 * 1024;
  const maxRedirects = options.maxRedirects ?? 3;
  const userAgent = options.userAgent ?? 'mner-stream';
  const hosts = keyedLimiter(options.perHost ?? 16);
  // undici's own timers only tidy up behind the deadline: a dial that nobody waits for any more ends with them.
  const agent = new Agent({
    connect: guardedConnector(policy, deadlineMs),
    headersTimeout: 2 * deadlineMs,
    bodyTimeout: 2 * deadlineMs,
    maxHeaderSize: 16_384,
    keepAliveTimeout: 4_000,
    keepAliveMaxTimeout: 60_000,
  });
  let stopped = false;

  async function follow(text: string, signal: AbortSignal): Promise<Fetched> {
    if (!URL.canParse(text)) return failure('refused', 'this is no URL');
    let url = new URL(text);
    let from: URL | undefined;
    for (let hop = 0; hop <= maxRedirects; hop += 1) {
      const reason = policy.refuseUrl(url, from);
      if (reason !== null) return failure('refused', reason);
      const answer = await ask(url, signal);
      if (!(answer instanceof URL)) return answer;
      from = url;
      url = answer;
    }
    return failure('refused', `more than ${maxRedirects} redirects`);
  }

  /** One request; a URL is where it redirects to. */
  async function ask(url: URL, signal: AbortSignal): Promise<Fetched | URL> {
    const release = await hosts.take(bare(url.hostname), signal);
    if (release === null) return failure('timed_out', 'the host was busy until the deadline');
    try {
      const response = await request(url, {
        dispatcher: agent,
        signal,
        headers: { accept: 'image/*', 'accept-encoding': 'identity', 'user-agent': userAgent },
      });
      // Leaving a body early makes it emit an error that is news to nobody.
      response.body.on('error', () => {});
      try {
        return await judge(url, response);
      } finally {
        response.body.destroy();
      }
    } finally {
      release();
    }
  }

  async function judge(url: URL, { statusCode, headers, body }: Response): Promise<Fetched | URL> {
    if (REDIRECTS.has(statusCode)) {
      const location = headers.location;
      if (typeof location !== 'string' || !URL.canParse(location, url.href)) {
        return failure('unreachable', `HTTP ${statusCode} without a usable location`);
      }
      return new URL(location, url.href);
    }
    if (statusCode !== 200 && statusCode !== 203) return failure(statusOf(statusCode), `HTTP ${statusCode}`);
    const encoding = headers['content-encoding'] ?? 'identity';
    if (encoding !== 'identity' && encoding !== '') return failure('unreadable', 'the body is compressed, unasked');
    const tooLarge = failure('too_large', `the body is longer than ${maxBytes} bytes`);
    if (Number(headers['content-length'] ?? 0) > maxBytes) return tooLarge;
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of body as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > maxBytes) return tooLarge;
      chunks.push(chunk);
    }
    return { status: 'ok', bytes: Buffer.concat(chunks, size) };
  }

  return {
    async fetch(url, signal) {
      if (stopped) return failure('unreachable', 'the origin is stopped');
      const ending = new AbortController();
      const end = () => ending.abort();
      const timer = clock.after(deadlineMs, end);
      signal.addEventListener('abort', end, { once: true });
      if (signal.aborted) end();
      // Raced, because undici looks at the signal only once a connection stands: a dial into the void would outlast it.
      const ended = new Promise<Fetched>((resolve) => {
        const late = () => resolve(failure('timed_out', `no picture within ${deadlineMs} ms`));
        if (ending.signal.aborted) late();
        ending.signal.addEventListener('abort', late, { once: true });
      });
      try {
        return await Promise.race([ended, follow(url, ending.signal).catch((error: unknown) => explain(error))]);
      } finally {
        timer.cancel();
        signal.removeEventListener('abort', end);
      }
    },
    async stop() {
      stopped = true;
      await agent.destroy();
    },
  };
}

/** Dials only what the policy allows: a literal is checked here, a name's answers in the policy's `lookup`. */
function guardedConnector(policy: AddressPolicy, timeoutMs: number): buildConnector.connector {
  const checked = buildConnector({ timeout: timeoutMs, lookup: policy.lookup });
  const free = buildConnector({ timeout: timeoutMs });
  return (options, callback) => {
    const host = bare(options.hostname);
    const port = options.port === '' ? (options.protocol === 'https:' ? 443 : 80) : Number(options.port);
    if (policy.allowsOrigin(host, port)) return free(options, callback);
    const reason = isIP(host) === 0 ? null : policy.refuseAddress(host);
    if (reason !== null) return callback(new AddressRefused(reason), null);
    return checked(options, callback);
  };
}

/**
 * 401 and 403 count as not there: who asks again without credentials, which we never have, gets the same answer, and
 * object stores answer so for a picture that was deleted.
 */
function statusOf(code: number): Failure['status'] {
  if (code === 404 || code === 410 || code === 401 || code === 403 || code === 451) return 'not_found';
  if (code === 429) return 'rate_limited';
  return 'unreachable';
}

function explain(error: unknown): Failure {
  if (error instanceof AddressRefused) return failure('refused', error.message);
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
  if (code === 'UND_ERR_CONNECT_TIMEOUT' || code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT') {
    return failure('timed_out', 'the host does not answer');
  }
  return failure('unreachable', `the connection failed (${code})`);
}

function failure(status: Failure['status'], detail: string): Failure {
  return { status, detail };
}
