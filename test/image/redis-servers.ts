import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type RedisCacheOptions, redisCache } from '#mner/image/cache/redis.js';
import type { Cache } from '#mner/image/port.js';
import { withFreePorts } from '#mner/local/ports.js';
import { spawnGuarded } from '#mner/local/process.js';
import { type LocalRedis, startRedis } from '#mner/local/redis.js';
import type { Event } from '#mner/telemetry/events.js';

const run = promisify(execFile);

/** The table of rights in docs/security.md, by its first column. */
export const RIGHTS: ReadonlyMap<string, readonly string[]> = new Map(
  [
    ...readFileSync(new URL('../../docs/security.md', import.meta.url), 'utf8').matchAll(
      /^\| (.+?) \| (`[~+].*`) \|$/gm,
    ),
  ].map(([, where = '', rights = '']) => [where, rights.replaceAll('\\|', '|').replaceAll('`', '').split(' ')]),
);

/** All of them. */
export const LEAST_RIGHTS = [...RIGHTS.values()].flat();

/** Servers that a test starts, and stops however it ends. */
export interface Servers {
  redis(config?: Record<string, string>): Promise<LocalRedis>;
  /** Three masters that hold all slots; the URL names two of them. */
  cluster(): Promise<{ url: string; nodes: readonly LocalRedis[] }>;
  /** One Sentinel that watches a master under the name `pictures`. */
  sentinel(master: LocalRedis): Promise<string>;
  stop(): Promise<void>;
}

export function servers(): Servers {
  const ends: (() => Promise<unknown>)[] = [];

  async function folder(): Promise<string> {
    const dir = await mkdtemp(join(tmpdir(), 'mner-redis-servers-'));
    ends.push(() => rm(dir, { recursive: true, force: true }));
    return dir;
  }

  async function redis(config: Record<string, string> = {}): Promise<LocalRedis> {
    const one = await startRedis({ config });
    ends.push(() => one.stop());
    return one;
  }

  return {
    redis,
    async cluster() {
      const config = {
        'cluster-enabled': 'yes',
        'cluster-node-timeout': '3000',
        'cluster-require-full-coverage': 'no',
      };
      const nodes = await Promise.all([0, 1, 2].map(() => redis(config)));
      const places = nodes.map(({ port }) => `127.0.0.1:${port}`);
      await run('redis-cli', ['--cluster', 'create', ...places, '--cluster-yes']);
      return { url: `redis://${places.slice(0, 2).join(',')}`, nodes };
    },
    async sentinel(master) {
      const dir = await folder();
      const file = join(dir, 'sentinel.conf');
      return withFreePorts(1, async ([port = 0]) => {
        const lines = [
          `port ${port}`,
          'bind 127.0.0.1',
          `dir ${dir}`,
          `sentinel monitor pictures 127.0.0.1 ${master.port} 1`,
          'sentinel down-after-milliseconds pictures 3000',
          'sentinel failover-timeout pictures 2000',
        ];
        await writeFile(file, lines.join('\n'));
        const sentinel = await spawnGuarded('redis-server', [file, '--sentinel'], { removeOnDeath: dir });
        ends.push(() => sentinel.stop(3_000));
        await sentinel.says('+slave');
        return `redis://127.0.0.1:${port}`;
      });
    },
    async stop() {
      for (const end of ends.splice(0).reverse()) await end();
    },
  };
}

/** Events as they come, and a wait for the next that is wanted. */
export function listener() {
  const events: Event[] = [];
  const hopes = new Set<{ wanted: (event: Event) => boolean; met: () => void }>();
  const until = (wanted: (event: Event) => boolean) =>
    new Promise<void>((met) => {
      hopes.add({ wanted, met });
    });
  return {
    emit(event: Event) {
      events.push(event);
      for (const hope of hopes) {
        if (!hope.wanted(event)) continue;
        hopes.delete(hope);
        hope.met();
      }
    },
    /** Resolves at the next change of `degraded{reason="cache"}` to this. */
    degraded: (on: boolean) => until((event) => event.type === 'degraded' && event.on === on),
    errors: () => events.filter((event) => event.type === 'image_cache' && event.result === 'error').length,
    /** What `degraded{reason="cache"}` has been, in order. */
    states: () => events.flatMap((event) => (event.type === 'degraded' ? [event.on] : [])),
    /** The reason of the last warning. */
    why: () => events.flatMap((event) => (event.type === 'note' && event.detail ? [event.detail] : [])).at(-1),
  };
}

/** Opens caches with time for a busy machine, each with the events that it emits; `stop` ends those that are open. */
export function redisCaches() {
  const opened: Cache[] = [];
  return {
    open(options: Omit<RedisCacheOptions, 'emit'>) {
      const heard = listener();
      const cache = redisCache({ commandTimeoutMs: 5_000, readyTimeoutMs: 20_000, ...options, emit: heard.emit });
      opened.push(cache);
      return { cache, ...heard };
    },
    async stop() {
      for (const cache of opened.splice(0)) await cache.stop();
    },
  };
}
