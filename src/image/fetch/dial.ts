import { isIP, type Socket } from 'node:net';
import { Agent, buildConnector, type Dispatcher, Pool, ProxyAgent, request } from 'undici';
import { type Clock, delay } from '../../clock.js';
import { type AddressPolicy, AddressRefused, bare, portOf } from './address.js';

/** Sends one request to where a URL points, and follows nothing. */
export interface Dialler {
  /** @throws AddressRefused when the policy forbids the address */
  get(url: URL, headers: Record<string, string>, signal: AbortSignal): Promise<Dispatcher.ResponseData>;
  stop(): Promise<void>;
}

export interface DiallerOptions {
  readonly policy: AddressPolicy;
  /** Milliseconds after which a dial ends although nobody ended it. */
  readonly timeoutMs: number;
  /** Bytes of a picture; an answer of more than twice that is cut off, be it all heads and the marks between chunks. */
  readonly maxBytes: number;
  readonly clock: Clock;
}

/** More came for one request than a picture can be. */
export class AnswerTooLong extends Error {
  readonly code = 'ANSWER_TOO_LONG';
}

/** Names that mean a place inside, whatever they resolve to. */
const INSIDE = /^[^.]+\.?$|\.(localhost|local|localdomain|internal|intranet|lan|corp|home|home\.arpa)\.?$/;
/** Beside a body: its heads, and the marks between chunks of a few bytes in a small one. */
const HEAD_BYTES = 64 * 1024;
/** Milliseconds for a name's answers, where a proxy dials and they are only looked at. */
const JUDGE_MS = 500;

/** Dials by itself. A connection that is kept alive was checked when it was dialled. */
export function directDialler(options: DiallerOptions): Dialler {
  const reused = new WeakSet<Error>();
  const agent = new Agent({ ...limits(options.timeoutMs), connect: guardedConnector(options, reused) });

  /**
   * Whether the host closed a connection that had served before: it had been idle for too long, as the host sees it. (One
   * that closes in the midst of its first headers looks the same, and is asked twice as well.)
   */
  function wentStale(error: unknown): boolean {
    if (!(error instanceof Error) || error instanceof AnswerTooLong) return false;
    const { socket } = error as { socket?: { bytesRead?: number } };
    return reused.has(error) || (socket?.bytesRead ?? 0) > 0;
  }

  return {
    async get(url, headers, signal) {
      const ask = () => request(url, { dispatcher: agent, signal, headers });
      try {
        return await ask();
      } catch (error) {
        if (signal.aborted || !wentStale(error)) throw error;
        return await ask();
      }
    },
    stop: () => agent.destroy(),
  };
}

/**
 * Has a forward proxy dial: `https:` through a tunnel, `http:` by asking the proxy for the whole URL. What the proxy will
 * dial is not ours to see. So literals are judged as ever; names that mean a place inside are refused; other names are
 * refused when they resolve here, within half a second, to an address that may not be dialled. Where they resolve to
 * something else for the proxy, only the proxy's own rules stand in the way. What the allow-list names by `host:port` is
 * dialled directly.
 */
export function proxyDialler(proxy: URL, options: DiallerOptions): Dialler {
  const { policy, timeoutMs, clock } = options;
  const direct = directDialler(options);
  const { username, password, origin } = proxy;
  const basic = Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64');
  const authorization = username === '' ? undefined : `Basic ${basic}`;
  const tls = { timeout: timeoutMs };
  const tunnels = new ProxyAgent({
    ...limits(timeoutMs),
    uri: origin,
    ...(authorization !== undefined && { token: authorization }),
    proxyTls: tls,
    requestTls: tls,
  });
  // Not the agent's own way with `http:`, which keeps a pool for each host and never lets go of it.
  const plain = new Pool(origin, { ...limits(timeoutMs), connect: tls });

  async function judge(host: string): Promise<void> {
    const reason = isIP(host) === 0 ? nameRefusal(host) : policy.refuseAddress(host);
    if (reason !== null) throw new AddressRefused(reason);
    if (isIP(host) !== 0) return;
    const ended = new AbortController();
    const answered = new Promise<void>((resolve, reject) => {
      policy.lookup(host, { all: true }, (error) => (error instanceof AddressRefused ? reject(error) : resolve()));
    });
    await Promise.race([answered, delay(clock, JUDGE_MS, ended.signal)]).finally(() => ended.abort());
  }

  return {
    async get(url, headers, signal) {
      if (policy.allowsOrigin(url.hostname, portOf(url))) return direct.get(url, headers, signal);
      await judge(bare(url.hostname));
      if (url.protocol === 'https:') return request(url, { dispatcher: tunnels, signal, headers });
      const target = new URL(url);
      target.hash = '';
      return plain.request({
        method: 'GET',
        path: target.href,
        signal,
        headers: {
          ...headers,
          host: url.host,
          ...(authorization !== undefined && { 'proxy-authorization': authorization }),
        },
      });
    },
    async stop() {
      await Promise.all([direct.stop(), tunnels.destroy(), plain.destroy()]);
    },
  };
}

/** undici's own timers only tidy up behind the deadline: a dial that nobody waits for any more ends with them. */
function limits(timeoutMs: number) {
  return {
    headersTimeout: 2 * timeoutMs,
    bodyTimeout: 2 * timeoutMs,
    maxHeaderSize: 16_384,
    keepAliveTimeout: 4_000,
    keepAliveMaxTimeout: 60_000,
  };
}

/**
 * Ends a connection on which more than so many bytes come for one request. The counter of the body does not see early hints,
 * extensions of chunks, zeros before their sizes, or a reason that never ends.
 */
function boundAnswers(socket: Socket, maxBytes: number): void {
  let [written, before, last] = [0, 0, 0];
  socket.on('readable', () => {
    // Asked anew. One request goes at a time, so all that came until now belongs to those before.
    if (socket.bytesWritten !== written) [written, before] = [socket.bytesWritten, last];
    last = socket.bytesRead;
    if (last - before > maxBytes) socket.destroy(new AnswerTooLong('the answer is longer than a picture may be'));
  });
}

function nameRefusal(host: string): string | null {
  return INSIDE.test(host) ? 'the name is one of a private network' : null;
}

/**
 * Dials only what the policy allows: a literal is checked here, a name's answers in the policy's `lookup`.
 * @param reused gets the errors of connections that had served before
 */
function guardedConnector(
  { policy, timeoutMs, maxBytes }: DiallerOptions,
  reused: WeakSet<Error>,
): buildConnector.connector {
  const checked = buildConnector({ timeout: timeoutMs, lookup: policy.lookup });
  const free = buildConnector({ timeout: timeoutMs });
  return (options, callback) => {
    const host = bare(options.hostname);
    const port = options.port === '' ? (options.protocol === 'https:' ? 443 : 80) : Number(options.port);
    const reason = isIP(host) === 0 || policy.allowsOrigin(host, port) ? null : policy.refuseAddress(host);
    if (reason !== null) return callback(new AddressRefused(reason), null);
    const dial = policy.allowsOrigin(host, port) ? free : checked;
    dial(options, (...result) => {
      const [, socket] = result;
      if (socket) boundAnswers(socket, 2 * maxBytes + HEAD_BYTES);
      socket?.once('error', (error) => {
        if (socket.bytesRead > 0) reused.add(error);
      });
      callback(...result);
    });
  };
}
