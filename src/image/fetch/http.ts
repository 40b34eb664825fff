import type { Dispatcher } from 'undici';
import { type Clock, systemClock } from '../../clock.js';
import type { Emit } from '../../telemetry/events.js';
import type { Fetched, Origin } from '../port.js';
import { type AddressPolicy, AddressRefused, addressPolicy, bare, portOf } from './address.js';
import { AnswerTooLong, directDialler, proxyDialler } from './dial.js';
import { createHosts, type Failure, failure, type HostsOptions, type Visit } from './hosts.js';
import { retryAfterMs } from './retry-after.js';

export interface HttpOriginOptions {
  /** @default a policy without exceptions */
  readonly policy?: AddressPolicy;
  /** Milliseconds for the whole way: the wait for the host's slot, names, dials, redirects, the last byte. @default 5000 */
  readonly deadlineMs?: number;
  /** Bytes of a body; what is longer is cut off and `too_large`. @default 10485760 */
  readonly maxBytes?: number;
  /** @default 3 */
  readonly maxRedirects?: number;
  /** The longest pause in milliseconds that a host can ask for by `Retry-After`. @default 900000 */
  readonly maxPauseMs?: number;
  /** How each host is treated: how often it is asked, how many times at once, and when not at all. */
  readonly hosts?: Omit<HostsOptions, 'clock' | 'emit'>;
  /** A forward proxy as `http(s)://user:password@host:port`; what the policy means then, {@link proxyDialler} says. */
  readonly proxy?: URL;
  /** @default 'mner-stream' */
  readonly userAgent?: string;
  /** @default systemClock */
  readonly clock?: Clock;
  readonly emit?: Emit;
}

type Response = Dispatcher.ResponseData;

const REDIRECTS = new Set([301, 302, 303, 307, 308]);

/** How a fetch ends whose time is up; every other end is the caller's. */
const DEADLINE = new Error('the deadline passed');
/** Milliseconds for which a host is left alone that says "too many" and not for how long. */
const UNSAID_PAUSE_MS = 1_000;

/**
 * The real origin: HTTP(S) under the address policy. Proxy variables of the environment are ignored, since a proxy would
 * dial what we refuse.
 */
export function httpOrigin(options: HttpOriginOptions = {}): Origin {
  const policy = options.policy ?? addressPolicy();
  const clock = options.clock ?? systemClock;
  const deadlineMs = options.deadlineMs ?? 5_000;
  const maxBytes = options.maxBytes ?? 10 * 1024 * 1024;
  const maxRedirects = options.maxRedirects ?? 3;
  const maxPauseMs = options.maxPauseMs ?? 900_000;
  const headers = {
    accept: 'image/*',
    'accept-encoding': 'identity',
    'user-agent': options.userAgent ?? 'mner-stream',
  };
  const hosts = createHosts({ ...options.hosts, clock, ...(options.emit && { emit: options.emit }) });
  const dialling = { policy, timeoutMs: deadlineMs, maxBytes, clock };
  const dialler = options.proxy ? proxyDialler(options.proxy, dialling) : directDialler(dialling);
  let stopped = false;

  async function follow(text: string, signal: AbortSignal, endsAt: number): Promise<Fetched> {
    if (!URL.canParse(text)) return failure('refused', 'this is no URL');
    let url = new URL(text);
    let from: URL | undefined;
    const redirects: string[] = [];
    const told = (answer: Fetched): Fetched => (redirects.length === 0 ? answer : { ...answer, redirects });
    for (let hop = 0; hop <= maxRedirects; hop += 1) {
      const reason = policy.refuseUrl(url, from);
      if (reason !== null) return told(failure('refused', reason));
      const here = url;
      const answer = await hosts.visit(hostKey(here), { signal, endsAt }, () => visit(here, signal));
      if (!(answer instanceof URL)) return told(answer);
      redirects.push(shown(answer));
      from = url;
      url = answer;
    }
    return told(failure('refused', `more than ${maxRedirects} redirects`));
  }

  /**
   * One request; a URL is where it redirects to.
   * @throws what says nothing about the host: its address may not be dialled, or nobody waits any more
   */
  async function visit(url: URL, signal: AbortSignal): Promise<Visit<Fetched | URL>> {
    try {
      const response = await dialler.get(url, headers, signal);
      // Leaving a body early makes it emit an error that is news to nobody.
      response.body.on('error', () => {});
      try {
        const pauseMs = pauseOf(response);
        return { answer: await judge(url, response, pauseMs), failing: response.statusCode >= 500, pauseMs };
      } finally {
        response.body.destroy();
      }
    } catch (error) {
      if (error instanceof AddressRefused || (signal.aborted && signal.reason !== DEADLINE)) throw error;
      return { answer: explain(error), failing: true, pauseMs: null };
    }
  }

  function pauseOf({ statusCode, headers }: Response): number | null {
    if (statusCode !== 429 && statusCode !== 503) return null;
    const said = retryAfterMs(headers['retry-after'], headers.date, clock.wall());
    return said === null ? (statusCode === 429 ? UNSAID_PAUSE_MS : null) : Math.min(said, maxPauseMs);
  }

  async function judge(url: URL, response: Response, pauseMs: number | null): Promise<Fetched | URL> {
    const { statusCode, headers, body } = response;
    if (REDIRECTS.has(statusCode)) {
      const location = headers.location;
      if (typeof location !== 'string' || !URL.canParse(location, url.href)) {
        return failure('unreachable', `HTTP ${statusCode} without a usable location`);
      }
      return new URL(location, url.href);
    }
    if (statusCode !== 200 && statusCode !== 203) {
      return failure(statusOf(statusCode), `HTTP ${statusCode}`, pauseMs ?? undefined);
    }
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
    const [only] = chunks;
    return { status: 'ok', bytes: only && chunks.length === 1 ? only : Buffer.concat(chunks, size) };
  }

  return {
    async fetch(url, signal) {
      if (stopped) return failure('unreachable', 'the origin is stopped');
      const ending = new AbortController();
      const end = () => ending.abort();
      const endsAt = clock.now() + deadlineMs;
      const timer = clock.after(deadlineMs, () => ending.abort(DEADLINE));
      signal.addEventListener('abort', end, { once: true });
      if (signal.aborted) end();
      // Raced, because undici looks at the signal only once a connection stands: a dial into the void would outlast it.
      const ended = new Promise<Fetched>((resolve) => {
        const late = () => resolve(failure('timed_out', `no picture within ${deadlineMs} ms`));
        if (ending.signal.aborted) late();
        ending.signal.addEventListener('abort', late, { once: true });
      });
      try {
        return await Promise.race([
          ended,
          follow(url, ending.signal, endsAt).catch((error: unknown) => explain(error)),
        ]);
      } finally {
        timer.cancel();
        signal.removeEventListener('abort', end);
      }
    },
    async stop() {
      stopped = true;
      await dialler.stop();
    },
  };
}

/** A URL for people: without its query, and where it names no host, as `data:` and `file:`, without what it holds. */
function shown(url: URL): string {
  return url.origin === 'null' ? `${url.protocol}…` : `${url.origin}${url.pathname}`;
}

/**
 * Two ports of a private host may be two services, so the port counts. So does the scheme: what fails as `http:` on port 443
 * says nothing about `https:` there, and would let a stranger's spelling have a good host left alone.
 */
function hostKey(url: URL): string {
  return `${url.protocol}//${bare(url.hostname).replace(/\.$/, '')}:${portOf(url)}`;
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
  if (error instanceof AnswerTooLong) return failure('too_large', error.message);
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
  if (code === 'UND_ERR_CONNECT_TIMEOUT' || code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT') {
    return failure('timed_out', 'the host does not answer');
  }
  return failure('unreachable', `the connection failed (${code})`);
}
