const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

/**
 * Resolves at the first SIGINT or SIGTERM, or when `signal` aborts. A second one ends the process at once; we do that
 * ourselves, since process 1 of a container is not ended by a signal that it has no handler for.
 */
export function untilSignal(signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const first = () => {
      for (const name of SIGNALS) process.off(name, first).on(name, leave);
      resolve();
    };
    for (const name of SIGNALS) process.on(name, first);
    signal?.addEventListener('abort', () => {
      for (const name of SIGNALS) process.off(name, first);
      resolve();
    });
  });
}

function leave(name: NodeJS.Signals): never {
  process.exit(name === 'SIGINT' ? 130 : 143);
}
