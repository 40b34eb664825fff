/** A promise that is settled from outside. Whoever waits for it sees its error; nobody else has to. */
export interface Deferred {
  readonly promise: Promise<void>;
  resolve(): void;
  reject(error: Error): void;
}

export function deferred(): Deferred {
  let resolve = () => {};
  let reject = (_error: Error) => {};
  const promise = new Promise<void>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  promise.catch(() => {});
  return { promise, resolve, reject };
}

/** One that is resolved already. */
export function settled(): Deferred {
  const one = deferred();
  one.resolve();
  return one;
}
