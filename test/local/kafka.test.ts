import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type Admin, Kafka, logLevel } from 'kafkajs';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { startKafka } from '#mner/local/kafka.js';
import { exists, gone } from './support.js';

const ROOT = resolve(import.meta.dirname, '../..');
const LONG_MS = 120_000;

let temporary = '';
beforeEach(() => {
  temporary = mkdtempSync(join(tmpdir(), 'mner-kafka-test-'));
  vi.stubEnv('TMPDIR', temporary);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(temporary, { recursive: true, force: true });
});

describe('a local Kafka', () => {
  it(
    'starts, keeps its topics over a restart of the broker, stops, and leaves nothing behind',
    async () => {
      const kafka = await startKafka({ properties: { 'num.partitions': '5' } });
      const [node] = kafka.nodes;
      expect(kafka.brokers).toEqual([node?.broker]);
      await asAdmin(kafka.brokers, async (admin) => {
        expect(await admin.createTopics({ topics: [{ topic: 'tweets' }] })).toBe(true);
      });
      const first = node?.pid();
      await node?.restart();
      expect(node?.pid()).not.toBe(first);
      await asAdmin(kafka.brokers, async (admin) => {
        expect((await admin.fetchTopicMetadata({ topics: ['tweets'] })).topics[0]?.partitions).toHaveLength(5);
      });
      await Promise.all([kafka.stop(), kafka.stop()]);
      await kafka.stop();
      expect(exists(node?.pid() ?? 0)).toBe(false);
      expect(readdirSync(temporary)).toEqual([]);
    },
    LONG_MS,
  );

  it(
    'of three nodes is one cluster',
    async () => {
      const kafka = await startKafka({ nodes: 3 });
      try {
        await asAdmin(kafka.brokers, async (admin) => {
          const { brokers } = await admin.describeCluster();
          expect(brokers.map(({ host, port }) => `${host}:${port}`).sort()).toEqual([...kafka.brokers].sort());
          await admin.createTopics({ topics: [{ topic: 'tweets', numPartitions: 3 }] });
          const [topic] = (await admin.fetchTopicMetadata({ topics: ['tweets'] })).topics;
          expect(topic?.partitions.map(({ replicas }) => replicas.length)).toEqual([3, 3, 3]);
        });
      } finally {
        await kafka.stop();
      }
      expect(kafka.nodes.map((node) => exists(node.pid()))).toEqual([false, false, false]);
    },
    LONG_MS,
  );

  it('with a property that Kafka refuses says why in one sentence', async () => {
    const start = startKafka({ properties: { 'num.partitions': 'many' } });
    await expect(start).rejects.toMatchObject({
      code: 'local_server',
      message: expect.stringContaining('num.partitions'),
    });
    expect(readdirSync(temporary)).toEqual([]);
  });

  it('without Java: one sentence says what to install', async () => {
    vi.stubEnv('PATH', temporary);
    vi.stubEnv('JAVA_HOME', '');
    await expect(startKafka()).rejects.toMatchObject({
      code: 'missing_tool',
      message: expect.stringContaining('install Java 17'),
    });
  });

  it(
    'and a local Redis die with a parent that got kill -9, and their folders go',
    async () => {
      const code = `
        import { startKafka } from '#mner/local/kafka.js';
        import { startRedis } from '#mner/local/redis.js';
        setInterval(() => {}, 1000);
        const [kafka, redis] = await Promise.all([startKafka(), startRedis()]);
        console.log(JSON.stringify([kafka.nodes[0].pid(), redis.pid()]));`;
      const args = ['--input-type=module', '--eval', code];
      const parent = spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] });
      const [chunk] = await once(parent.stdout, 'data');
      const pids: number[] = JSON.parse(String(chunk));
      expect(pids.map(exists)).toEqual([true, true]);
      parent.kill('SIGKILL');
      for (const pid of pids) await gone(pid);
      await expect.poll(() => readdirSync(temporary), { timeout: 10_000 }).toEqual([]);
    },
    LONG_MS,
  );
});

async function asAdmin(brokers: string[], work: (admin: Admin) => Promise<void>): Promise<void> {
  const admin = new Kafka({ brokers, logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  try {
    await work(admin);
  } finally {
    await admin.disconnect();
  }
}
