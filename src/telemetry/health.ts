/** An answer for `/livez` or `/readyz`. */
export interface Verdict {
  readonly ok: boolean;
  /** What is missing, in words; empty when all is well. */
  readonly reasons: readonly string[];
}

/**
 * What the process knows of its own state. Ready is a worker that has joined its group (be the assignment empty or not), is warm
 * and is not draining. Alive is one that can still do its work; this does not look at Kafka, since a restart mends no broker.
 */
export interface Health {
  /** How to ask whether the worker is a member of its group; asked at every look. @default never is */
  askJoined(joined: () => boolean): void;
  /** Whether the models are loaded and have run once. @default false */
  setWarm(warm: boolean): void;
  /** The worker has begun to stop; it never becomes ready again. */
  drain(): void;
  /** The process cannot do its work any more; `reason` is one sentence for people. */
  fail(reason: string): void;
  live(): Verdict;
  ready(): Verdict;
}

export function createHealth(): Health {
  let joined = () => false;
  let warm = false;
  let draining = false;
  let failure: string | undefined;
  return {
    askJoined: (ask) => {
      joined = ask;
    },
    setWarm: (now) => {
      warm = now;
    },
    drain: () => {
      draining = true;
    },
    fail: (reason) => {
      failure ??= reason;
    },
    live: () => verdict([failure]),
    ready: () =>
      verdict([
        failure,
        draining ? 'The worker is draining.' : undefined,
        warm ? undefined : 'The models are not warm yet.',
        joined() ? undefined : 'The worker has not joined its consumer group.',
      ]),
  };
}

function verdict(missing: readonly (string | undefined)[]): Verdict {
  const reasons = missing.filter((reason) => reason !== undefined);
  return { ok: reasons.length === 0, reasons };
}
