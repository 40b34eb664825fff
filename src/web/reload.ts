import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ErrorCode } from '../errors.js';
import { isLoopback } from './guard.js';
import { sendError, sendJson } from './reply.js';

/** Takes in new bundles. */
export type Reload = () => Promise<
  | { readonly ok: true; readonly bundles: readonly string[] }
  | { readonly ok: false; readonly error: { readonly code: ErrorCode; readonly message: string } }
>;

/** `POST /v1/reload`: 200 with the bundles that took over, 409 with what is wrong with them while the old ones go on. */
export function reloadEndpoint(reload: Reload) {
  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    // There is no login, and the server may be open to a network: what changes the worker is for this machine alone.
    if (!isLoopback(unwrapped(request.socket.remoteAddress ?? ''))) return sendError(response, 'loopback_only');
    request.resume();
    const result = await reload();
    if (result.ok) return sendJson(response, 200, { bundles: result.bundles });
    const { code, message } = result.error;
    sendJson(response, 409, { error: { code, message } });
  };
}

/** An IPv4 peer as a socket that listens on IPv6 too has it. */
function unwrapped(address: string): string {
  return address.replace(/^::ffff:/i, '');
}
