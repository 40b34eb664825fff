/** Notes in an error of a write to several partitions of one topic which of them have their records all the same. */
export function partlyWritten<E extends Error>(error: E, written: readonly number[]): E {
  return Object.assign(error, { written });
}

/** The partitions that have their records although a write has failed with this error; undefined where no broker has answered. */
export function writtenIn(error: unknown): ReadonlySet<number> | undefined {
  for (let next = error, depth = 0; next instanceof Error && depth < 10; next = next.cause, depth += 1)
    if ('written' in next) return new Set(next.written as readonly number[]);
  return undefined;
}
