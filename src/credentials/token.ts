import { type Clock, systemClock } from '../clock.js';
import { asMnerError, MnerError } from '../errors.js';
import type { Emit } from '../telemetry/events.js';
import { rotating } from './rotating.js';
import { readSecretFile } from './text-file.js';

/** Gives an OAuth 2 bearer token that is valid now. Asked for each connection, and when one must prove itself again. */
export type TokenSource = () => Promise<string>;

/**
 * The token that a file holds, say one that Kubernetes projects and renews.
 *
 * @throws MnerError `bad_config`, now, when it cannot be read or is empty
 */
export function tokenFile(path: string, setting: string, emit?: Emit): TokenSource {
  const what = `${setting} (${path})`;
  const read = () => {
    const token = readSecretFile(path, what).trim();
    if (token === '') throw new MnerError('bad_config', `${what} is empty.`);
    return token;
  };
  const token = rotating([path], read, emit);
  return async () => token();
}

export interface TokenEndpointOptions {
  /** Of the authorisation server, `https://…`. */
  readonly url: string;
  readonly clientId: string;
  readonly clientSecret: () => string;
  /** Names separated by spaces. @default what the server gives by itself */
  readonly scope?: string | undefined;
  /** How long the server may take, in milliseconds. @default 4000 */
  readonly timeoutMs?: number;
  readonly clock?: Clock;
}

/**
 * A token is asked for anew a fifth of its life before it ends, but not more than a minute, and not less than 15 seconds: a
 * connection proves itself again 10 seconds before, and must get a new one then.
 */
const MARGIN_MS = { least: 15_000, most: 60_000 };

/**
 * A token from an authorisation server, by the grant of client credentials (RFC 6749, 4.4). It is kept until shortly before
 * it ends; those who ask at once share one request.
 *
 * The source throws MnerError `authentication_failed` when the server refuses the client, `broker_unavailable` when it does
 * not answer, or not with a token. Nothing that it said is in the message but its error code.
 */
export function tokenEndpoint(options: TokenEndpointOptions): TokenSource {
  const { clock = systemClock } = options;
  let held: { token: string; until: number } | undefined;
  let asking: Promise<string> | undefined;
  const ask = async () => {
    const { token, lifeMs } = await fetchToken(options);
    const margin = Math.min(MARGIN_MS.most, Math.max(MARGIN_MS.least, lifeMs / 5));
    held = { token, until: clock.now() + lifeMs - margin };
    return token;
  };
  return () => {
    if (held && clock.now() < held.until) return Promise.resolve(held.token);
    asking ??= ask().finally(() => {
      asking = undefined;
    });
    return asking;
  };
}

interface Grant {
  readonly token: string;
  /** 0 where the server does not say. */
  readonly lifeMs: number;
}

const CHECK_URL = 'Check `kafka_sasl_token_url` and that it answers.';

async function fetchToken({
  url,
  clientId,
  clientSecret,
  scope,
  timeoutMs = 4000,
}: TokenEndpointOptions): Promise<Grant> {
  const what = `The token endpoint ${new URL(url).origin}`;
  const form = new URLSearchParams({ grant_type: 'client_credentials', ...(scope ? { scope } : {}) });
  const basic = Buffer.from(`${encode(clientId)}:${encode(clientSecret())}`).toString('base64');
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { authorization: `Basic ${basic}`, accept: 'application/json' },
      body: form,
      // The secret goes to the endpoint that is configured, and to no other.
      redirect: 'error',
      signal: AbortSignal.timeout(timeoutMs),
    });
    const body: unknown = await response.json().catch(() => null);
    const said = typeof body === 'object' && body !== null ? (body as Readonly<Record<string, unknown>>) : {};
    if (!response.ok) throw refusal(what, response.status, said.error);
    if (typeof said.access_token !== 'string' || said.access_token === '')
      throw new MnerError('broker_unavailable', `${what} answers without a token.`, { remedy: CHECK_URL });
    return { token: said.access_token, lifeMs: 1000 * (Number(said.expires_in) || 0) };
  } catch (error) {
    if (error instanceof MnerError) throw error;
    throw new MnerError('broker_unavailable', `${what} does not answer: ${whyNot(error, timeoutMs)}.`, {
      remedy: CHECK_URL,
    });
  }
}

/** RFC 6749, 2.3.1: both halves are encoded as in a form before they are joined. */
function encode(text: string): string {
  return new URLSearchParams([['', text]]).toString().slice(1);
}

function refusal(what: string, status: number, error: unknown): MnerError {
  // By RFC 6749, 5.2 a word of a fixed list; anything else may hold what we sent.
  const word = typeof error === 'string' && /^[a-z_]{1,40}$/.test(error) ? `${error}, ` : '';
  const refused = status >= 400 && status < 500 && status !== 408 && status !== 429;
  return refused
    ? new MnerError('authentication_failed', `${what} refuses the client (${word}status ${status}).`, {
        remedy: 'Check `kafka_sasl_client_id`, `kafka_sasl_client_secret` and `kafka_sasl_scope`.',
      })
    : new MnerError('broker_unavailable', `${what} fails (${word}status ${status}).`, { remedy: CHECK_URL });
}

function whyNot(error: unknown, timeoutMs: number): string {
  if (error instanceof Error && error.name === 'TimeoutError') return `nothing came within ${timeoutMs} ms`;
  const { cause } = error as { cause?: { code?: unknown } };
  return typeof cause?.code === 'string' ? cause.code : asMnerError(error).message;
}
