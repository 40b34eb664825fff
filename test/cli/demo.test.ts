import { randomUUID } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SAMPLES } from '#mner/cli/demo/samples.js';
import { NO_SERVERS, TINY } from '../support/servers.js';
import { mner } from '../support/worker-process.js';
import { gone, withEnvironment } from './processes.js';
import { spawnMner } from './spawn.js';

/** A demo of a test that went on: that none of its processes is left is looked up by this mark in their environment. */
const mark = randomUUID();
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'mner-demo-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const env = () => ({ ...TINY, MNER_TEST_MARK: mark, TMPDIR: folder, MNER_IMAGE_BUDGET_MS: '60000' });

/** Every sample with its entities, and nothing else, on stdout. */
function expectSamples(stdout: string): void {
  const lines = stdout.trimEnd().split('\n');
  expect(lines).toHaveLength(2 * SAMPLES.length);
  const texts = lines.filter((_, i) => i % 2 === 0).map((line) => line.replace(/[[\]]/g, ''));
  expect(texts.sort()).toEqual(SAMPLES.map(({ text }) => text.replace(/\s+/g, ' ').replace(/[[\]]/g, '')).sort());
  const found = lines.filter((_, i) => i % 2 === 1);
  for (const line of found)
    expect(line).toMatch(/^ {4}\S.* \((no picture|picture used, relevance \d\.\d\d, cache (hit|miss))\)$/);
  expect(found.filter((line) => line.includes('picture used'))).toHaveLength(
    SAMPLES.filter(({ picture }) => picture !== undefined).length,
  );
}

/** Nothing runs any more, nothing listens, nothing lies about. */
async function expectNothingLeft(stderr: string): Promise<void> {
  await gone(withEnvironment(mark));
  expect(withEnvironment(mark)).toEqual([]);
  for (const [, port] of stderr.matchAll(/127\.0\.0\.1:(\d+)/g)) expect(await listens(Number(port))).toBe(false);
  expect(readdirSync(folder).filter((name) => /^mner-(kafka|redis)-/.test(name))).toEqual([]);
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}

it('without Java and Redis: says so, goes on in memory, and ends by itself', async () => {
  const { code, stdout, stderr } = await mner(['demo', '--once', '--port', '0'], {
    env: { ...env(), PATH: folder, JAVA_HOME: '' },
  });
  expect(code).toBe(0);
  expect(stderr).toMatch(/Java .*The demo goes on with the broker in memory\./);
  expect(stderr).toMatch(/redis-server.*The demo goes on with the cache in memory\./);
  expect(stderr).toContain(`${SAMPLES.length} tweets in, ${SAMPLES.length} results out.`);
  expectSamples(stdout);
  await expectNothingLeft(stderr);
});

describe.skipIf(NO_SERVERS)(`with a real Kafka and Redis${NO_SERVERS}`, () => {
  it('demo --once prints every sample, exits with 0 and leaves nothing running', async () => {
    const { code, stdout, stderr } = await mner(['demo', '--once', '--port', '0'], { env: env() });
    expect(stderr).toMatch(/^Kafka is at 127\.0\.0\.1:\d+, Redis at redis:\/\/127\.0\.0\.1:\d+\.$/m);
    expect(code).toBe(0);
    expectSamples(stdout);
    await expectNothingLeft(stderr);
  }, 90_000);

  it('demo serves the playground until Ctrl-C, and leaves nothing running', async () => {
    const demo = spawnMner(['demo', '--port', '0'], env());
    await demo.says('Ctrl-C ends.');
    const url = /playground is at (\S+),/.exec(demo.stderr())?.[1] ?? '';
    expect(await (await fetch(url)).text()).toContain('<form');
    const body = JSON.stringify({ id: '1', text: 'Kobe Bryant in Los Angeles' });
    const answer = await fetch(`${url}/v1/extract`, { method: 'POST', body });
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({ schema: 'tweet-entities/1', tweet_id: '1' });
    demo.kill('SIGINT');
    expect(await demo.ended).toBe(0);
    expectSamples(demo.stdout());
    await expectNothingLeft(demo.stderr());
  }, 90_000);

  it.each([
    ['while the servers start', 'Starting Kafka'],
    ['while the worker starts', 'Starting the worker'],
  ])(
    'Ctrl-C %s leaves nothing running',
    async (_when, word) => {
      const demo = spawnMner(['demo', '--port', '0'], env());
      await demo.says(word);
      demo.kill('SIGINT');
      expect(await demo.ended).toBe(0);
      await expectNothingLeft(demo.stderr());
    },
    90_000,
  );
});
