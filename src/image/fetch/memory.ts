import { setMaxListeners } from 'node:events';
import type { Fetched, Origin } from '../port.js';

/** What an address of the in-memory origin holds: a body, a failure, or `silent`, which never answers. */
export type MemoryPage = Buffer | Exclude<Fetched['status'], 'ok'> | 'silent';

export interface MemoryOrigin extends Origin {
  put(url: string, page: MemoryPage): void;
  /** Every URL that was asked for, in order. */
  readonly requests: readonly string[];
}

/** The in-memory origin, for tests and simulations: what was not put there is not found. */
export function memoryOrigin(options: { maxBytes?: number } = {}): MemoryOrigin {
  const maxBytes = options.maxBytes ?? 10 * 1024 * 1024;
  const pages = new Map<string, MemoryPage>();
  const requests: string[] = [];
  const stopping = new AbortController();
  // Every silent page listens to it; more than ten at once are no leak.
  setMaxListeners(0, stopping.signal);

  function open(url: string, signal: AbortSignal): Promise<Fetched> | Fetched {
    if (stopping.signal.aborted) return { status: 'unreachable', detail: 'the origin is stopped' };
    if (signal.aborted) return { status: 'timed_out', detail: 'nobody waits any more' };
    if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
      return { status: 'refused', detail: 'this is no URL of a picture' };
    }
    requests.push(url);
    const page = pages.get(url) ?? 'not_found';
    if (page === 'silent') return silence(signal);
    if (typeof page === 'string') return { status: page, detail: 'as it was put there' };
    if (page.length > maxBytes) return { status: 'too_large', detail: `the body is longer than ${maxBytes} bytes` };
    return { status: 'ok', bytes: Buffer.from(page) };
  }

  function silence(signal: AbortSignal): Promise<Fetched> {
    return new Promise((resolve) => {
      const settle = (answer: Fetched) => {
        signal.removeEventListener('abort', aborted);
        stopping.signal.removeEventListener('abort', stopped);
        resolve(answer);
      };
      const aborted = () => settle({ status: 'timed_out', detail: 'no answer' });
      const stopped = () => settle({ status: 'unreachable', detail: 'the origin is stopped' });
      signal.addEventListener('abort', aborted, { once: true });
      stopping.signal.addEventListener('abort', stopped, { once: true });
    });
  }

  return {
    requests,
    put: (url, page) => void pages.set(url, page),
    fetch: async (url, signal) => open(url, signal),
    async stop() {
      stopping.abort();
    },
  };
}
