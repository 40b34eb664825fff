import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MnerError } from '../errors.js';
import { PortTaken, withFreePorts } from './ports.js';
import { type Guarded, spawnGuarded } from './process.js';
import { provideTool } from './tools.js';

export interface LocalRedisOptions {
  /** @default a free one */
  port?: number;
  /** Directives of redis.conf over ours, which keep nothing on the disk: `{ maxmemory: '4mb' }`. */
  config?: Record<string, string>;
  /** What to call with a line of progress. @default nothing */
  say?: (line: string) => void;
}

export interface LocalRedis {
  /** `redis://127.0.0.1:PORT` */
  readonly url: string;
  readonly port: number;
  pid(): number;
  /** Sends a signal, as faults do: SIGKILL, SIGSTOP, SIGCONT. */
  signal(name: NodeJS.Signals): void;
  /** Starts it again on the same port, empty; what still runs is stopped first. */
  restart(): Promise<void>;
  /** Safe at any time, any number of times. */
  stop(): Promise<void>;
}

/**
 * A real Redis on this machine, on 127.0.0.1 only, that ends with this process.
 *
 * @throws MnerError `missing_tool` where there is no `redis-server` and none can be installed; `local_server` when it does not start
 */
export async function startRedis(options: LocalRedisOptions = {}): Promise<LocalRedis> {
  const server = await provideTool('redis-server', 'redis-server', options.say ?? (() => {}));
  const folder = await mkdtemp(join(tmpdir(), 'mner-redis-'));
  const launch = (port: number) => launchRedis(server, port, folder, options.config ?? {});
  try {
    let [port, running] = options.port
      ? ([options.port, await launch(options.port)] as const)
      : await withFreePorts(1, async ([free = 0]) => [free, await launch(free)] as const);
    running.keepAlive(false);
    return {
      url: `redis://127.0.0.1:${port}`,
      port,
      pid: () => running.pid,
      signal: (name) => running.signal(name),
      async restart() {
        await running.stop(3_000);
        running = await launch(port);
        running.keepAlive(false);
      },
      async stop() {
        await running.stop(3_000);
        await rm(folder, { recursive: true, force: true });
      },
    };
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw asPortInUse(error, options.port);
  }
}

async function launchRedis(
  server: string,
  port: number,
  dir: string,
  config: Record<string, string>,
): Promise<Guarded> {
  const directives = {
    port: `${port}`,
    bind: '127.0.0.1',
    dir,
    save: '',
    appendonly: 'no',
    daemonize: 'no',
    ...config,
  };
  const args = Object.entries(directives).flatMap(([name, value]) => [`--${name}`, value]);
  const redis = await spawnGuarded(server, args, { removeOnDeath: dir });
  if (await redis.says('Ready to accept connections')) return redis;
  if (redis.tail().some((line) => line.includes('Address already in use'))) throw new PortTaken();
  throw new MnerError('local_server', `Redis did not start: ${redis.tail().pop() ?? 'it said nothing'}`);
}

function asPortInUse(error: unknown, port: number | undefined): unknown {
  if (!(error instanceof PortTaken)) return error;
  return new MnerError(
    'local_server',
    port ? `Redis cannot have port ${port}: another process has it.` : 'Redis found no free port.',
  );
}
