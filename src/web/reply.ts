import type { ServerResponse } from 'node:http';
import { ERRORS, type ErrorCode } from '../errors.js';

/** What the server itself refuses; errors of a tweet keep their own code of docs/errors.md. */
export const HTTP_ERRORS = {
  not_found: { status: 404, message: 'There is nothing under this path.' },
  method_not_allowed: { status: 405, message: 'This path does not take that method.' },
  body_too_large: { status: 413, message: 'The body is larger than 8 MiB.' },
  wrong_host: { status: 421, message: 'The Host header does not name this server.' },
  wrong_origin: { status: 403, message: 'A page of another origin must not use this server.' },
  loopback_only: { status: 403, message: 'This path answers requests from its own machine only.' },
  busy: { status: 503, message: 'Too many extractions run at once; try again in a moment.' },
  timed_out: { status: 503, message: 'The extraction took too long.' },
  stopping: { status: 503, message: 'The server is stopping.' },
  internal: { status: 500, message: 'This is a defect of mner-stream.' },
} as const;
export type HttpErrorCode = keyof typeof HTTP_ERRORS;

/** The HTTP status for an error of a tweet. */
export function statusOf(code: ErrorCode): number {
  if (code === 'bad_json' || code === 'bad_utf8' || code === 'too_deep') return 400;
  if (code === 'text_too_long' || code === 'output_too_large') return 413;
  if (code === 'internal') return 500;
  return ERRORS[code].class === 'poison' ? 422 : 503;
}

export function sendJson(response: ServerResponse, status: number, body: object): void {
  send(response, status, 'application/json; charset=utf-8', `${JSON.stringify(body)}\n`);
}

export function sendError(response: ServerResponse, code: HttpErrorCode): void {
  const { status, message } = HTTP_ERRORS[code];
  if (code === 'busy') response.setHeader('retry-after', '1');
  sendJson(response, status, { error: { code, message } });
}

/** Ends the response with a whole body; does nothing when the client has gone or an answer was begun. */
export function send(response: ServerResponse, status: number, contentType: string, body: string): void {
  if (response.headersSent || response.destroyed) return;
  response.statusCode = status;
  response.setHeader('content-type', contentType);
  response.setHeader('content-length', Buffer.byteLength(body));
  response.setHeader('cache-control', 'no-store');
  response.setHeader('x-content-type-options', 'nosniff');
  response.end(response.req.method === 'HEAD' ? undefined : body);
}
