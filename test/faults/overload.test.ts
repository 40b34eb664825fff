import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { median } from '#mner/cli/bench/figure.js';
import { LONG, seen } from '../support/seen.js';
import { NO_SERVERS } from '../support/servers.js';
import { eventually, metric, tweet, workerStage } from '../support/worker-stage.js';

const LIMIT = 1 << 18;
/** What one answer of the broker brings of a partition, at most. */
const FETCH = 1 << 20;
/** The real model on one thread, and nothing that would spare it a text. */
const SLOW = {
  MNER_MODELS_DIR: 'models',
  MNER_BUNDLE: 'ham-int8',
  MNER_THREADS: '1',
  MNER_BATCH_TOKENS: '1024',
  MNER_REPEAT_CACHE_BYTES: '0',
  MNER_INFLIGHT_BYTES: `${LIMIT}`,
  // Nothing pauses but by bytes.
  MNER_INFLIGHT_AGE_MS: '3600000',
};
/** Several windows of the model. */
const TEXT = 'Kobe Bryant met Anna in Oslo. '.repeat(60);
/** Nothing to read, but held as well. */
const MORE = { note: 'x'.repeat(5000) };
const WARM_UP_MS = 20_000;
const MEASURED_MS = 60_000;

describe.skipIf(NO_SERVERS)(`more comes than the model can read${NO_SERVERS}`, { timeout: 240_000 }, () => {
  it.runIf(LONG)(
    'fault 46: a hundred times more for a minute: paused by bytes, memory flat, nothing lost',
    async ({ task }) => {
      const on = await workerStage();
      const worker = await on.worker(SLOW);
      const done = () => on.outputs.records.all.length;
      let fed = 0;
      const feed = async () => {
        await on.send(0, ...Array.from({ length: 100 }, (_, i) => tweet(`${fed + i}`, TEXT, MORE)));
        fed += 100;
      };
      const samples: { readonly at: number; readonly mb: number; readonly bytes: number; readonly paused: number }[] =
        [];
      await feed();
      await eventually(() => done() > 0);
      const [began, first] = [performance.now(), done()];
      for (let at = 0; at < WARM_UP_MS + MEASURED_MS; at = performance.now() - began) {
        while (fed < 100 * done()) await feed();
        const [bytes, paused] = (await Promise.all(
          ['mner_inflight_bytes', 'mner_paused_partitions'].map((name) => metric(worker, name)),
        )) as [number, number];
        samples.push({ at, mb: worker.residentMb(), bytes, paused });
        await delay(250);
      }
      const rate = ((done() - first) / (performance.now() - began)) * 1000;
      const fedTimes = fed / done();
      expect(fedTimes).toBeGreaterThan(90);

      const steady = samples.filter(({ at }) => at > WARM_UP_MS);
      const third = Math.floor(steady.length / 3);
      const [early, late] = [steady.slice(0, third), steady.slice(-third)].map((part) =>
        median(part.map(({ mb }) => mb)),
      ) as [number, number];
      const growth = late / early - 1;
      const most = Math.max(...samples.map(({ bytes }) => bytes));
      const paused = steady.filter(({ paused }) => paused === 1).length / steady.length;
      const told =
        `${rate.toFixed(1)} tweets/s with ${fedTimes.toFixed(0)} times as many sent: memory ${early.toFixed(0)} → ${late.toFixed(0)} MB, ` +
        `at most ${(most / 1024).toFixed(0)} KiB in flight, paused ${(paused * 100).toFixed(0)} % of the time`;
      seen(task, told);
      expect(growth, told).toBeLessThan(0.1);
      expect(paused, told).toBeGreaterThan(0);
      // Reading stops above the limit, after the answer that is on its way.
      expect(most, told).toBeLessThan(LIMIT + FETCH * 1.1);

      await worker.stop('SIGKILL');
      const [committed] = (await on.committed()) as [number];
      expect(committed).toBeGreaterThan(0);
      // What was committed is out, each once and in order; what waits, and what was not committed yet, is for the next worker.
      await on.outputs.until(() => done() >= committed);
      const out = on.outputs.records.all.map(
        ({ value }) => (JSON.parse(String(value)) as { tweet_id: string }).tweet_id,
      );
      expect(out).toEqual(out.map((_, n) => `${n}`));
    },
  );
});
