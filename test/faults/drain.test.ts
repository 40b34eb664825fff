import { describe, expect, it, onTestFinished } from 'vitest';
import { childrenOf, commandOf } from '../cli/processes.js';
import { LONG, seen } from '../support/seen.js';
import { eventually, metric, tweet } from '../support/worker-stage.js';
import { BOTH, secondsSince, stage } from './stage.js';
import { TWEETS } from './tweets.js';

const DRAIN_S = 20;
const PATIENT = { MNER_DRAIN_TIMEOUT_MS: String(DRAIN_S * 1000), MNER_SESSION_TIMEOUT_MS: '30000' };

/** No two texts alike, since what is the same is read once. */
const DISTINCT = {
  ...TWEETS,
  record: (id: string) => ({ key: Buffer.from(id), value: Buffer.from(tweet(id, `Kobe ${id} in Oslo`)), headers: [] }),
};

describe('a real worker that is told to stop, on three brokers', { timeout: 90_000 }, () => {
  const on = stage(3);

  it.for(BOTH)(
    'fault 9: SIGTERM under load: drained in time, exit 0, nothing twice: %s',
    async (delivery, { task }) => {
      const { ledger, worker } = await on.play(delivery, { partitions: 4, ...TWEETS });
      const first = await worker(PATIENT);
      const loaded = new AbortController();
      const load = ledger.load(1000, loaded.signal);
      await ledger.progress(1500);
      const told = performance.now();
      // Past its deadline it would be 6.
      expect(await first.stop('SIGTERM')).toBe(0);
      const drained = secondsSince(told);
      loaded.abort();
      await load;
      const left = 4 * ledger.fed - ledger.seen;
      expect(left).toBeGreaterThan(0);
      await ledger.nothingCommittedUnprocessed();
      await worker();
      const { doubled, text } = await ledger.verify(delivery);
      expect(doubled).toBe(0);
      seen(task, `${delivery}: exit 0 after ${drained} of ${DRAIN_S} s with ${left} left to the next; ${text}`);
    },
  );

  it.runIf(LONG).for(BOTH)(
    'fault 9: SIGTERM with far more begun than the model reads in time: exit 0, the rest is left to the next: %s',
    async (delivery, { task }) => {
      const { ledger, worker } = await on.play(delivery, { partitions: 4, ...DISTINCT });
      const first = await worker(PATIENT);
      await ledger.feed(50);
      await ledger.all();
      // A model that stands still is the slowest there is, on any machine: it has one batch or two, and the rest waits before it.
      const model = childrenOf(first.pid).filter((pid) => commandOf(pid).includes('host-child')) as [number];
      // One that stands still does not see its worker end: not to be left behind, however the test ends.
      onTestFinished(() => {
        if (commandOf(model[0]).includes('host-child')) process.kill(model[0], 'SIGKILL');
      });
      process.kill(model[0], 'SIGSTOP');
      await ledger.feed(300);
      await eventually(async () => (await metric(first, 'mner_queued_tweets')) > 500);
      const before = ledger.seen;
      const told = performance.now();
      const ended = first.stop('SIGTERM');
      await eventually(() => first.log().includes('left to the next worker'));
      process.kill(model[0], 'SIGCONT');
      expect(await ended).toBe(0);
      const drained = secondsSince(told);
      await ledger.nothingCommittedUnprocessed();
      const left = 4 * ledger.fed - ledger.seen;
      expect(left).toBeGreaterThan(500);
      await worker();
      const { doubled, text } = await ledger.verify(delivery);
      expect(doubled).toBe(0);
      const finished = 4 * 350 - left - before;
      seen(
        task,
        `${delivery}, a model that stands still: exit 0 after ${drained} of 20 s, ${finished} more done and ${left} left to the next; ${text}`,
      );
    },
  );
});
