import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { MnerError } from '../../errors.js';

/** A server of pictures on loopback, in a process of its own: what it works is not the worker's work. */
export interface BenchOrigin {
  /** `127.0.0.1:port` */
  readonly origin: string;
  /** Safe to call twice. */
  stop(): Promise<void>;
}

/**
 * Serves the pictures by their places: `/3/anything` is the fourth.
 *
 * @throws MnerError `local_server`
 */
export async function startOrigin(pictures: readonly Buffer[]): Promise<BenchOrigin> {
  const child = fork(fileURLToPath(new URL('./origin-child.js', import.meta.url)), [], {
    serialization: 'advanced',
    execArgv: [],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const ended = once(child, 'exit').then(() => null);
  const stop = async () => {
    if (child.connected) child.disconnect();
    await ended;
  };
  child.send(pictures);
  const port = await Promise.race([firstWord(child), ended]);
  if (typeof port === 'number') return { origin: `127.0.0.1:${port}`, stop };
  await stop();
  throw new MnerError('local_server', 'The server of pictures did not start.');
}

async function firstWord(child: ChildProcess): Promise<unknown> {
  const [word] = (await once(child, 'message')) as unknown[];
  return word;
}
