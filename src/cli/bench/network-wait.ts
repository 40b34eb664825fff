import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { systemClock } from '../../clock.js';

/** Published by undici; `sendHeaders` when a request is written, `headers` when the first bytes of its answer are there. */
const SENT = 'undici:client:sendHeaders';
const ANSWERED = 'undici:request:headers';

/** How long fetches of this process wait for the network. */
export interface NetworkWait {
  /** Milliseconds since the last call in which requests were out and unanswered, and how many were answered. */
  take(): { readonly ms: number; readonly requests: number };
  stop(): void;
}

/**
 * Watches the requests of undici in this process, one at a time. The wait ends with the first bytes of the answer: dialling
 * and reading the body count as the fetcher's own work, so that no more is taken for waiting than surely was.
 */
export function watchNetwork(): NetworkWait {
  let sentAt: number | null = null;
  let ms = 0;
  let requests = 0;
  const sent = () => {
    sentAt = systemClock.now();
  };
  const answered = () => {
    if (sentAt === null) return;
    ms += systemClock.now() - sentAt;
    requests += 1;
    sentAt = null;
  };
  subscribe(SENT, sent);
  subscribe(ANSWERED, answered);
  return {
    take() {
      const taken = { ms, requests };
      ms = 0;
      requests = 0;
      return taken;
    },
    stop() {
      unsubscribe(SENT, sent);
      unsubscribe(ANSWERED, answered);
    },
  };
}
