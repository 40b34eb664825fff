// The faults that the suite must show, by their numbers. A row is proved by every test in the suite whose title starts with
// `fault N: `; what it saw it tells with `seen` (test/support/seen.ts). A row that cannot be tested has a `reason` instead.

/** @typedef {{ number: number, fault: string, expected: string, reason?: string }} Row */

/** @type {readonly [fault: string, expected: string, reason?: string][]} */
const FAULTS = [
  ['kill -9 mid-batch', 'takeover within the session timeout'],
  ['kill -9 between send and sendOffsets', 'aborted; nothing visible'],
  ['kill -9 during commit', 'all or nothing; the next owner re-reads the offset'],
  ['SIGSTOP beyond the session timeout, then SIGCONT', 'the zombie is fenced; its late commit is rejected'],
  ["EndTxn's response dropped", 'producer discarded, re-initialised, offset re-read'],
  ["EndTxn's request delayed past the next transaction", 'fenced by the epoch'],
  ['transaction exceeds its timeout', 'abort seen, work redone, counted'],
  ['two processes with one transactional id', 'the older is fenced, with a clear error'],
  ['SIGTERM under load', 'drained within the deadline, exit 0, no duplicate'],
  ['second SIGTERM while draining', 'fast exit; the ledger holds'],
  ['join/leave storm 1→4→2→3', 'no commit on revoked lanes'],
  ['revoke while inference runs', 'results dropped, the new owner redoes them'],
  ['broker restart, clean and kill -9', 'recovery without a restart of the worker'],
  ['every connection dies after 0.5–1.5 s', 'progress goes on'],
  ['half-open TCP to the broker', 'timeout, reconnect, readiness drops'],
  ['300 ms latency, throttled bandwidth', 'no rebalance; throughput falls smoothly'],
  ['output topic missing, or not authorised', 'fatal, exit code, nothing committed'],
  ['output record too large', 'dead letter; the lane goes on'],
  ['dead-letter topic unavailable', 'the lane pauses; nothing dropped'],
  ['partitions added live', 'picked up'],
  ['offset out of range', 'the configured policy, loudly'],
  ['malformed JSON, bad UTF-8, unknown schema', 'dead letter with the original bytes, key and headers'],
  ['tombstone, empty text, 100k characters, emoji, control characters', 'defined output; spans align with the input'],
  ['deeply nested JSON, `__proto__`', 'rejected cheaply'],
  ['one poison row makes the batch throw', 'bisected: only that row is dead-lettered'],
  [
    '30 % poison for minutes',
    'poison at parsing or by NaN: healthy rows keep >= 90 % of their rate; rows that throw: progress goes on',
  ],
  ['NaN or Inf logits', 'that row is poison, counted'],
  ['inference process crashes or is OOM-killed', 'restarted; the batch is retried once, then bisected'],
  ['inference hangs', 'watchdog kills it; the consumer stays in its group'],
  ['corrupt model on reload', 'the old model stays, an alert is raised'],
  ['reload under load', 'no loss; each output names one model version'],
  ['GPU missing', 'CPU fallback or refusal, as configured'],
  ['Redis killed', 'live fetch or text only, flagged; breaker opens'],
  ['Redis hangs', "the cache's deadline holds; no queue growth"],
  ['Redis at maxmemory, READONLY, LOADING', 'writes skipped, counted'],
  ['corrupt, truncated or old cache value', 'a miss, replaced'],
  ['stampede on one hot URL after a flush', 'single flight holds'],
  ["the single-flight lock's holder dies", 'the lock expires; one successor'],
  ['origin drips, never ends, or lies about its length', 'cut at the limit; negative entry'],
  ['origin 404, 429 + Retry-After, 500', 'distinct negative lifetimes; host back-off'],
  ['redirect loop; redirect to a link-local address', 'refused; the listener there sees nothing'],
  ['DNS rebinding; mixed public and private answers', 'refused'],
  ['IPv6-wrapped, decimal, octal, `[::]` literals', 'refused'],
  [
    'gzip bomb, 17000x17000 PNG, truncated JPEG, SVG, polyglot, 1000-frame GIF',
    'defined (the polyglot judged by its magic bytes, the GIF by its first frame), memory bounded',
  ],
  ['decoder crashes or spins', 'killed; image marked bad; the tweet is still processed'],
  ['input 100x faster than the model', 'memory flat: partitions paused by bytes'],
  ['clock jumps by an hour', 'deadlines are monotonic'],
  ['disk full, read-only file system', 'keeps running'],
  ['a scrape hangs; 1000 scrapes/s', 'the data path is unaffected'],
  ['bad configuration, missing secret, unknown key', 'refuses to start and names the field'],
];

/** @type {readonly Row[]} */
export const MATRIX = FAULTS.map(([fault, expected, reason], index) => ({
  number: index + 1,
  fault,
  expected,
  ...(reason === undefined ? {} : { reason }),
}));
