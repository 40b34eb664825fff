/** The port to time. Deadlines and durations use `now`, which never jumps; only what people read uses `wall`. */
export interface Clock {
  /** Milliseconds since some fixed moment; monotonic. */
  now(): number;
  /** Milliseconds since 1970 in UTC, as the system's clock has it. */
  wall(): number;
  /** Calls back once, after `ms` milliseconds. Never keeps the process alive by itself. */
  after(ms: number, callback: () => void): Timer;
}

export interface Timer {
  cancel(): void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  after(ms, callback) {
    const timeout = setTimeout(callback, ms);
    timeout.unref();
    return { cancel: () => clearTimeout(timeout) };
  },
};

/** A clock that stands still until it is told to go on: the in-memory adapter, for tests and simulations. */
export interface ManualClock extends Clock {
  /** Moves time forward and calls back everything that falls due, in order of its due time. */
  advance(ms: number): void;
  /** Moves the wall clock alone, as an administrator or NTP would. */
  jump(ms: number): void;
}

export function manualClock(wallStart = 0): ManualClock {
  let now = 0;
  let offset = wallStart;
  let due: { at: number; callback: () => void }[] = [];
  return {
    now: () => now,
    wall: () => offset + now,
    after(ms, callback) {
      const entry = { at: now + Math.max(0, ms), callback };
      due.push(entry);
      return {
        cancel: () => {
          due = due.filter((other) => other !== entry);
        },
      };
    },
    advance(ms) {
      const end = now + ms;
      for (;;) {
        const next = due.filter((entry) => entry.at <= end).sort((a, b) => a.at - b.at)[0];
        if (!next) break;
        due = due.filter((entry) => entry !== next);
        now = Math.max(now, next.at);
        next.callback();
      }
      now = end;
    },
    jump(ms) {
      offset += ms;
    },
  };
}

/** Resolves after `ms` milliseconds of `clock`, or at once when `signal` aborts. */
export function delay(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = () => {
      timer.cancel();
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = clock.after(ms, done);
    signal?.addEventListener('abort', done, { once: true });
  });
}
