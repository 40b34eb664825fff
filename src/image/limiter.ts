/** Lets at most so many pieces of work run at once; the others wait in the order in which they came. */
export interface Limiter {
  /**
   * Waits for a slot and takes it; resolves to the function that gives it back (once, however often it is called), or
   * to null when `signal` aborts first.
   */
  take(signal?: AbortSignal): Promise<(() => void) | null>;
  /** Slots taken and callers that wait. */
  readonly load: number;
}

export function limiter(slots: number): Limiter {
  const waiting = new Set<() => void>();
  let taken = 0;

  function slot(): () => void {
    taken += 1;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      taken -= 1;
      const [next] = waiting;
      next?.();
    };
  }

  return {
    get load() {
      return taken + waiting.size;
    },
    take(signal) {
      if (signal?.aborted) return Promise.resolve(null);
      if (taken < slots) return Promise.resolve(slot());
      return new Promise((resolve) => {
        const granted = () => settle(slot());
        const aborted = () => settle(null);
        const settle = (release: (() => void) | null) => {
          waiting.delete(granted);
          signal?.removeEventListener('abort', aborted);
          resolve(release);
        };
        waiting.add(granted);
        signal?.addEventListener('abort', aborted, { once: true });
      });
    },
  };
}
