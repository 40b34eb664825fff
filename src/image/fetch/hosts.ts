import { type Clock, delay } from '../../clock.js';
import { type Emit, silent } from '../../telemetry/events.js';
import { type Limiter, limiter } from '../limiter.js';
import type { Fetched } from '../port.js';
import { type Circuit, createCircuit } from './circuit.js';
import { type TokenBucket, tokenBucket } from './rate.js';

export type Failure = Exclude<Fetched, { status: 'ok' }>;

/** What became of one request, for the host's sake. */
export interface Visit<T> {
  readonly answer: T;
  /** Whether it speaks against the host: no connection, no answer in time, 5xx. */
  readonly failing: boolean;
  /** Milliseconds for which the host asks to be left alone. */
  readonly pauseMs: number | null;
}

/** How we treat each host that pictures come from: how often it is asked, how many times at once, and when not at all. */
export interface Hosts {
  /**
   * Does the work when it is the host's turn for it. Resolves to a failure instead, mostly at once, when the host is to be
   * left alone or the turn would come too late.
   * @param endsAt the moment of the clock at which nobody waits any more
   */
  visit<T>(
    name: string,
    wait: { readonly signal: AbortSignal; readonly endsAt: number },
    work: () => Promise<Visit<T>>,
  ): Promise<T | Failure>;
  /** Hosts that are remembered. */
  readonly size: number;
}

export interface HostsOptions {
  /** Requests that may be under way to one host at once. @default 16 */
  readonly perHost?: number;
  /** Requests a second to one host; a second's worth may come at once. @default 500 */
  readonly ratePerHost?: number;
  /** Failures in a row after which a host is left alone. @default 10 */
  readonly circuitFailures?: number;
  /** Milliseconds until it is tried again. @default 30000 */
  readonly circuitPauseMs?: number;
  /** Hosts that are remembered; beyond that the one that was asked longest ago is forgotten. @default 4096 */
  readonly maxHosts?: number;
  /** Milliseconds after its last request that a host is forgotten, unless it is to be left alone. @default 600000 */
  readonly idleMs?: number;
  readonly clock: Clock;
  readonly emit?: Emit;
}

interface Host {
  readonly slots: Limiter;
  readonly bucket: TokenBucket;
  readonly circuit: Circuit;
  /** Requests of it that wait or are under way. */
  visitors: number;
  pausedUntil: number;
  forgetAt: number;
}

export function createHosts(options: HostsOptions): Hosts {
  const { clock } = options;
  const emit = options.emit ?? silent;
  const rate = options.ratePerHost ?? 500;
  const maxHosts = options.maxHosts ?? 4_096;
  const idleMs = options.idleMs ?? 600_000;
  // In the order of their last visit.
  const hosts = new Map<string, Host>();

  function open(): Host {
    return {
      slots: limiter(options.perHost ?? 16),
      bucket: tokenBucket(rate),
      circuit: createCircuit({
        failures: options.circuitFailures ?? 10,
        pauseMs: options.circuitPauseMs ?? 30_000,
        clock,
        opened: () => emit({ type: 'image_host_pause', reason: 'failing' }),
      }),
      visitors: 0,
      pausedUntil: 0,
      forgetAt: 0,
    };
  }

  function touch(name: string): Host {
    const host = hosts.get(name) ?? open();
    hosts.delete(name);
    hosts.set(name, host);
    const now = clock.now();
    host.forgetAt = Math.max(now + idleMs, host.pausedUntil, now + host.circuit.closedFor());
    return host;
  }

  function forgetIdle(): void {
    const now = clock.now();
    for (const [name, host] of hosts) {
      // One with visitors has slots to count; there are never many of those.
      if (host.visitors > 0) continue;
      if (hosts.size <= maxHosts && host.forgetAt > now) return;
      hosts.delete(name);
    }
  }

  /** Why the host is not asked now, if so. */
  function refusal({ pausedUntil, circuit }: Host): Failure | null {
    const pause = pausedUntil - clock.now();
    if (pause > 0) return failure('rate_limited', 'the host asked to be left alone for a while', pause);
    const closed = circuit.closedFor();
    return closed > 0 ? failure('unreachable', 'the host failed again and again, and is left alone', closed) : null;
  }

  async function turn<T>(
    host: Host,
    { signal, endsAt }: { signal: AbortSignal; endsAt: number },
    work: () => Promise<Visit<T>>,
  ): Promise<T | Failure> {
    const early = refusal(host);
    if (early) return early;
    const release = await host.slots.take(signal);
    if (release === null) return failure('timed_out', 'the host was busy until the deadline');
    try {
      const now = clock.now();
      const wait = host.bucket.take(now, endsAt - now);
      if (wait === null) return failure('rate_limited', `the host is asked no more than ${rate} times a second`, 1000);
      if (wait > 0) await delay(clock, wait, signal);
      if (signal.aborted) return failure('timed_out', 'the host was busy until the deadline');
      // Others may have heard from the host while this one waited.
      const late = refusal(host);
      if (late) return late;
      const { answer, pauseMs } = await host.circuit.run(work);
      if (pauseMs !== null) pause(host, pauseMs);
      return answer;
    } finally {
      release();
    }
  }

  function pause(host: Host, ms: number): void {
    if (host.pausedUntil <= clock.now()) emit({ type: 'image_host_pause', reason: 'retry_after' });
    host.pausedUntil = Math.max(host.pausedUntil, clock.now() + ms);
  }

  return {
    get size() {
      return hosts.size;
    },
    async visit(name, wait, work) {
      const host = touch(name);
      host.visitors += 1;
      try {
        return await turn(host, wait, work);
      } finally {
        host.visitors -= 1;
        if (hosts.get(name) === host) touch(name);
        forgetIdle();
      }
    },
  };
}

/** @param retryMs milliseconds until asking again may give another answer, where that is known */
export function failure(status: Failure['status'], detail: string, retryMs?: number): Failure {
  return retryMs === undefined ? { status, detail } : { status, detail, retryMs: Math.ceil(retryMs) };
}
