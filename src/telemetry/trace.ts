import { randomBytes } from 'node:crypto';

/** `version-trace-span-flags`, as W3C Trace Context has it. */
const TRACEPARENT = /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})$/;

/** The `traceparent` of what follows: the same trace, a span of our own. Null for what is no valid header. */
export function continueTrace(traceparent: string): string | null {
  const parts = TRACEPARENT.exec(traceparent);
  return parts ? `00-${parts[1]}-${randomBytes(8).toString('hex')}-${parts[2]}` : null;
}
