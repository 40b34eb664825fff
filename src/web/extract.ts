import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../clock.js';
import type { ErrorCode } from '../errors.js';
import { type HttpErrorCode, sendError, sendJson, statusOf } from './reply.js';

export type Extracted =
  | { readonly ok: true; readonly record: object }
  | { readonly ok: false; readonly code: ErrorCode; readonly message: string };

/** The way of one tweet through the stations of the stream, from JSON bytes to the output record. */
export type Extract = (bytes: Buffer, signal: AbortSignal) => Promise<Extracted>;

const MAX_BODY_BYTES = 8 * 1024 * 1024;
/** A body over the limit is read to here before the answer, since most clients read no answer while they write. */
const MAX_DISCARDED_BYTES = 8 * MAX_BODY_BYTES;
const MAX_AT_ONCE = 16;

export interface ExtractEndpoint {
  handle(request: IncomingMessage, response: ServerResponse): Promise<void>;
  /** Ends what runs. */
  abort(): void;
}

/** `POST /v1/extract`: bounded in size, number and time, and given up when the client goes away. */
export function createExtractEndpoint(extract: Extract, timeoutMs: number, clock: Clock): ExtractEndpoint {
  const running = new Set<AbortController>();

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (running.size >= MAX_AT_ONCE) {
      response.setHeader('connection', 'close');
      return sendError(response, 'busy');
    }
    const controller = new AbortController();
    running.add(controller);
    const gone = () => controller.abort('gone');
    response.once('close', gone);
    const timer = clock.after(timeoutMs, () => controller.abort('timed_out'));
    try {
      const body = await readBody(request);
      if (body === undefined) {
        response.setHeader('connection', 'close');
        return sendError(response, 'body_too_large');
      }
      const result = await Promise.race([extract(body, controller.signal), aborted(controller.signal)]);
      if (typeof result === 'string') sendError(response, result);
      else if (result.ok) sendJson(response, 200, result.record);
      else sendJson(response, statusOf(result.code), { error: { code: result.code, message: result.message } });
    } catch (error) {
      // A client that went away in the middle of its body is no fault of ours.
      if (!request.destroyed || request.complete) throw error;
    } finally {
      timer.cancel();
      response.off('close', gone);
      running.delete(controller);
    }
  }

  return {
    handle,
    abort() {
      for (const controller of running) controller.abort('stopping');
    },
  };
}

/** The whole body, or undefined when it is over the limit. */
async function readBody(request: IncomingMessage): Promise<Buffer | undefined> {
  if (Number(request.headers['content-length'] ?? 0) > MAX_DISCARDED_BYTES) return undefined;
  let chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_DISCARDED_BYTES) return undefined;
    if (size <= MAX_BODY_BYTES) chunks.push(chunk);
    else chunks = [];
  }
  return size > MAX_BODY_BYTES ? undefined : Buffer.concat(chunks);
}

function aborted(signal: AbortSignal): Promise<HttpErrorCode> {
  return new Promise((resolve) => {
    const answer = () => resolve(signal.reason === 'timed_out' ? 'timed_out' : 'stopping');
    if (signal.aborted) answer();
    else signal.addEventListener('abort', answer, { once: true });
  });
}
