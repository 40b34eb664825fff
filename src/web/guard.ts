import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import type { HttpErrorCode } from './reply.js';

/**
 * Keeps pages of other sites away from a server that has no login. Two ways lead a browser here:
 * - DNS rebinding: a name of the attacker's that resolves to 127.0.0.1. Its requests carry that name in `Host`, so a server on
 *   loopback takes only its own names.
 * - A form or a script of another site that posts here. Its requests carry that site in `Origin`.
 */
export function refusal(request: IncomingMessage, boundHost: string): HttpErrorCode | undefined {
  const host = request.headers.host;
  if (isLoopback(boundHost) && host !== undefined && !isOwnName(host, boundHost)) return 'wrong_host';
  if (request.method === 'GET' || request.method === 'HEAD') return undefined;
  const { origin } = request.headers;
  if (origin !== undefined && (host === undefined || hostOfOrigin(origin) !== host.toLowerCase()))
    return 'wrong_origin';
  return undefined;
}

/** Whether an address, or a host to bind to, is of this machine alone. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

function isOwnName(header: string, boundHost: string): boolean {
  const name = header
    .toLowerCase()
    .replace(/:\d*$/, '')
    .replace(/^\[(.*)\]$/, '$1');
  return name === 'localhost' || isLoopback(name) || name === boundHost.toLowerCase();
}

function hostOfOrigin(origin: string): string | undefined {
  return URL.canParse(origin) ? new URL(origin).host : undefined;
}
