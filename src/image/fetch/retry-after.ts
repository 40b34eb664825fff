/**
 * How long a host asks to be left alone, in milliseconds; null where the header is absent, unreadable or already over.
 * @param header `Retry-After`: seconds, or an HTTP date
 * @param date the host's own `Date`, against which its date counts, so that its clock may be wrong
 * @param wall milliseconds since 1970, for a host that sends no `Date`
 */
export function retryAfterMs(header: unknown, date: unknown, wall: number): number | null {
  if (typeof header !== 'string') return null;
  const text = header.trim();
  const ms = /^\d{1,10}$/.test(text) ? Number(text) * 1000 : httpDate(text) - (httpDate(date) || wall);
  return ms > 0 ? ms : null;
}

/** Milliseconds since 1970; NaN for what is no HTTP date. The oldest of its three forms does not say that it is in GMT. */
function httpDate(text: unknown): number {
  if (typeof text !== 'string' || !/^[A-Z][a-z]{2,8},? /.test(text)) return Number.NaN;
  return Date.parse(text.endsWith('GMT') ? text : `${text} GMT`);
}
