import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { seen } from '../support/seen.js';
import { NO_SERVERS } from '../support/servers.js';
import { mner, type WorkerProcess } from '../support/worker-process.js';
import { eventually, metric, tweet, type WorkerStage, workerStage } from '../support/worker-stage.js';

const TWEETS = 200;

/** A script whose arguments are a folder, then the command that it makes itself. */
const sh = (script: string, folder = '/') => ['sh', '-c', script, folder];
/** As {@link sh}, with mounts that nobody else sees and that end with the process. */
const shWithMounts = (script: string, folder: string) => ['unshare', '--mount', ...sh(`set -e; ${script}`, folder)];

const INTO_FULL = sh('exec "$@" >/dev/full 2>&1');

/** Why mounts cannot be tested; empty when they can. */
const NO_MOUNTS =
  spawnSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']).status === 0
    ? ''
    : ' (skipped: no right to mount)';

/** A folder for the mount, and the variables that make it the worker's home, with nothing that would spare it to measure its speed. */
function home() {
  const folder = mkdtempSync(join(tmpdir(), 'mner-disk-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const env = { HOME: folder, TMPDIR: folder, XDG_CACHE_HOME: folder, MNER_BATCH_TOKENS: 'auto', MNER_THREADS: '0' };
  return { folder, env };
}

/** A path as the worker sees it, with its mounts. */
const inside = ({ pid }: WorkerProcess, path: string) => join('/proc', String(pid), 'root', path);

/** Tweets through the worker, and after them dead letters of two codes, which have their lines in the log. */
async function pass({ send, outputs, dead }: WorkerStage): Promise<void> {
  const had = { outputs: outputs.records.all.length, dead: dead.records.all.length };
  await send(0, ...Array.from({ length: TWEETS }, (_, i) => tweet(`${had.outputs + i}`)), '{', '{"text":7}');
  await outputs.until(({ records }) => records.all.length >= had.outputs + TWEETS);
  await dead.until(({ records }) => records.all.length >= had.dead + 2);
}

describe.skipIf(NO_SERVERS)(`a worker that cannot write to its disk${NO_SERVERS}`, { timeout: 60_000 }, () => {
  it('fault 48: its stdout and stderr stand on a full disk: it works on, and its exit codes stay', async ({ task }) => {
    const on = await workerStage();
    const worker = await on.worker({}, INTO_FULL);
    await pass(on);
    await pass(on);
    expect(await metric(worker, 'mner_dead_letters_total', 'code="bad_json"')).toBe(2);
    expect(await worker.stop()).toBe(0);
    const { code } = await mner(['run'], { env: { MNER_BATCH_TOKENS: 'many' }, through: INTO_FULL });
    expect(code).toBe(2);
    seen(task, `no line of the log can be written: ${on.outputs.records.all.length} of ${2 * TWEETS} out, exit 0`);
  });

  it.skipIf(NO_MOUNTS)(
    `fault 48: the disk of its log and its home is full, until it has room${NO_MOUNTS}`,
    async ({ task }) => {
      const on = await workerStage();
      const { folder, env } = home();
      const mounted = 'mount -t tmpfs -o size=64k tmpfs "$0"; cd "$0"; exec "$@" 2>>log';
      const worker = await on.worker(env, shWithMounts(mounted, folder));
      const [log, filler] = ['log', 'filler'].map((name) => `/proc/${worker.pid}/root${folder}/${name}`) as [
        string,
        string,
      ];
      expect(() => writeFileSync(filler, Buffer.alloc(1 << 20))).toThrow('ENOSPC');
      // The last page of the log has room for some more.
      writeFileSync(log, Buffer.alloc((4096 - (statSync(log).size % 4096)) % 4096, ' '), { flag: 'a' });
      const full = readFileSync(log, 'utf8');
      await pass(on);
      expect(readFileSync(log, 'utf8')).toBe(full);
      unlinkSync(filler);
      // It writes down what has waited with the next line that it has.
      process.kill(worker.pid, 'SIGHUP');
      const lines = () =>
        readFileSync(log, 'utf8')
          .split('\n')
          .filter((line) => line.trim() !== '');
      await eventually(() => lines().some((line) => line.includes('bad_json')));
      await pass(on);
      for (const line of lines()) expect(JSON.parse(line)).toHaveProperty('msg');
      expect(await worker.stop()).toBe(0);
      seen(
        task,
        `nothing written while full, 0 of ${2 * TWEETS} lost; with room again its log goes on with what had waited`,
      );
    },
  );

  it.skipIf(NO_MOUNTS)(
    `fault 48: every file system that it could write to is read-only${NO_MOUNTS}`,
    async ({ task }) => {
      const on = await workerStage();
      const { folder, env } = home();
      const mounted = 'mount -t tmpfs -o ro tmpfs "$0"; mount -o remount,bind,ro /; cd "$0"; exec "$@"';
      const worker = await on.worker(env, shWithMounts(mounted, folder));
      expect(() => writeFileSync(inside(worker, join(folder, 'x')), '')).toThrow('EROFS');
      expect(() => writeFileSync(inside(worker, '/x'), '')).toThrow('EROFS');
      await pass(on);
      expect(await worker.stop()).toBe(0);
      seen(task, `read-only root and home: ${TWEETS} of ${TWEETS} out, exit 0`);
    },
  );
});
