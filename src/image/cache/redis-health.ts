import type { Clock, Timer } from '../../clock.js';
import { handshakeReason, type TlsSettings } from '../../credentials/handshake.js';
import type { Emit } from '../../telemetry/events.js';

/** What may fail while the rest works: a full Redis still reads, a replica takes no lease. */
export type Work = 'read' | 'write' | 'lease';

export interface HealthParts {
  readonly clock: Clock;
  readonly emit: Emit;
  /** Tries such work on a node again, with a key that lies there; rejects where it still fails. */
  readonly probe: (work: Work, key: string) => Promise<void>;
  /** The node refuses as a replica does; the address may lead to the new master by now. */
  readonly reconnect: (node: string) => void;
}

/** Which work fails on which node, said as `degraded{reason="cache"}`, and tried again by itself. */
export interface Health {
  /** @param key one that lies on the node */
  failed(work: Work, node: string, key: string, error: unknown): void;
  succeeded(work: Work, node: string): void;
  /**
   * The breaker: whether the server has refused such work (read-only, out of memory, loading, no permission). It is then
   * left alone until a probe has passed, so that refusals cost no round trips.
   */
  refuses(work: Work, node: string): boolean;
  /** The node has a new connection. */
  renewed(node: string): void;
  stop(): void;
}

interface Trouble {
  readonly work: Work;
  readonly node: string;
  readonly key: string;
  readonly why: string;
  readonly refused: boolean;
}

const FIRST_PROBE_MS = 500;
const LAST_PROBE_MS = 8_000;

export function redisHealth({ clock, emit, probe, reconnect }: HealthParts): Health {
  const troubles = new Map<string, Trouble>();
  let timer: Timer | null = null;
  let waitMs = FIRST_PROBE_MS;
  let stopped = false;
  let said = false;

  function say(): void {
    const [trouble] = troubles.values();
    const on = trouble !== undefined;
    if (on && !stopped) {
      timer ??= clock.after(waitMs, () => {
        waitMs = Math.min(2 * waitMs, LAST_PROBE_MS);
        void probeAll(true);
      });
    } else {
      timer?.cancel();
      timer = null;
      waitMs = FIRST_PROBE_MS;
    }
    if (said === on || stopped) return;
    said = on;
    emit({ type: 'degraded', reason: 'cache', on });
    emit(
      on
        ? {
            type: 'note',
            level: 'warn',
            message: 'The picture cache fails; pictures are fetched anew.',
            detail: { work: trouble.work, why: trouble.why },
          }
        : { type: 'note', level: 'info', message: 'The picture cache works again.' },
    );
  }

  async function probeAll(byTimer: boolean): Promise<void> {
    const passed = [...troubles].map(async ([id, trouble]) => {
      try {
        await probe(trouble.work, trouble.key);
        if (troubles.get(id) === trouble) troubles.delete(id);
      } catch {
        // Not right after a new connection: a replica that stays one would be dialled in a circle.
        if (byTimer && trouble.why === 'READONLY') reconnect(trouble.node);
      }
    });
    await Promise.all(passed);
    if (byTimer) timer = null;
    say();
  }

  return {
    failed(work, node, key, error) {
      const id = `${work}:${node}`;
      const before = troubles.get(id);
      const refused = isRefusal(error);
      if (before === undefined || (refused && !before.refused)) {
        troubles.set(id, { work, node, key, refused, why: reasonOf(error) });
      }
      say();
    },
    succeeded(work, node) {
      if (troubles.delete(`${work}:${node}`)) say();
    },
    refuses: (work, node) => troubles.get(`${work}:${node}`)?.refused ?? false,
    renewed(node) {
      for (const [id, trouble] of troubles) if (trouble.node === node && !trouble.refused) troubles.delete(id);
      say();
      if (troubles.size > 0 && !stopped) void probeAll(false);
    },
    stop() {
      stopped = true;
      timer?.cancel();
      timer = null;
    },
  };
}

/** An answer of the server, rather than none. */
function isRefusal(error: unknown): boolean {
  return error instanceof Error && error.name === 'ReplyError';
}

/** The first word of a reply, or the system's code; a whole reply may quote what we sent. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  const word = code ?? /^[A-Z]{3,}\b/.exec(error.message)?.[0] ?? error.message;
  if (LOGIN.has(word)) return `it refuses the login (${word}); check user and password in \`redis_url\``;
  return handshakeReason(code, error.message, TLS) ?? word;
}

/** What Redis answers to a wrong user or password, and to none. */
const LOGIN: ReadonlySet<string> = new Set(['WRONGPASS', 'NOAUTH']);

const TLS: TlsSettings = {
  on: 'rediss://',
  ca: 'redis_ca_file',
  cert: 'redis_cert_file',
  key: 'redis_key_file',
  hosts: '`redis_url`',
};
