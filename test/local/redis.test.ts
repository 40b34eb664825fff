import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { startRedis } from '#mner/local/redis.js';
import { exists } from './support.js';

let temporary = '';
beforeEach(() => {
  temporary = mkdtempSync(join(tmpdir(), 'mner-redis-test-'));
  vi.stubEnv('TMPDIR', temporary);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(temporary, { recursive: true, force: true });
});

describe('a local Redis', () => {
  it('answers, starts again empty after kill -9, stops, and leaves nothing behind', async () => {
    const redis = await startRedis({ config: { maxmemory: '8mb' } });
    expect(await ask(redis.port, async (client) => [await client.set('key', 'value'), await client.dbsize()])).toEqual([
      'OK',
      1,
    ]);
    expect(await ask(redis.port, (client) => client.config('GET', 'maxmemory'))).toEqual(['maxmemory', '8388608']);
    const first = redis.pid();
    redis.signal('SIGKILL');
    await redis.restart();
    expect(redis.pid()).not.toBe(first);
    expect(await ask(redis.port, (client) => client.dbsize())).toBe(0);
    await Promise.all([redis.stop(), redis.stop()]);
    await redis.stop();
    expect(exists(redis.pid())).toBe(false);
    expect(readdirSync(temporary)).toEqual([]);
  });

  it('on a port that is taken says so in one sentence', async () => {
    const holder = createServer();
    await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
    const address = holder.address();
    const port = typeof address === 'object' && address ? address.port : 0;
    await expect(startRedis({ port })).rejects.toMatchObject({
      code: 'local_server',
      message: `Redis cannot have port ${port}: another process has it.`,
    });
    await new Promise((resolve) => holder.close(resolve));
    expect(readdirSync(temporary)).toEqual([]);
  });

  it('with a directive that Redis does not know says what Redis said', async () => {
    await expect(startRedis({ config: { 'no-such-directive': '1' } })).rejects.toMatchObject({ code: 'local_server' });
    expect(readdirSync(temporary)).toEqual([]);
  });
});

async function ask<T>(port: number, question: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis({ port, host: '127.0.0.1' });
  try {
    return await question(client);
  } finally {
    client.disconnect();
  }
}
