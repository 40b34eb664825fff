import { describe, expect, it } from 'vitest';
import { seen } from '../support/seen.js';
import { BOTH, secondsSince, stage } from './stage.js';
import { TWEETS } from './tweets.js';

const DRAIN_S = 5;

describe('a real worker that is told to stop, on three brokers', { timeout: 90_000 }, () => {
  const on = stage(3);

  it.for(BOTH)(
    'fault 9: SIGTERM under load: drained in time, exit 0, nothing twice: %s',
    async (delivery, { task }) => {
      const { ledger, worker } = await on.play(delivery, { partitions: 4, ...TWEETS });
      const first = await worker();
      const loaded = new AbortController();
      const load = ledger.load(1000, loaded.signal);
      await ledger.progress(1500);
      const told = performance.now();
      expect(await first.stop('SIGTERM')).toBe(0);
      const drained = secondsSince(told);
      loaded.abort();
      await load;
      const left = 4 * ledger.fed - ledger.seen;
      expect(left).toBeGreaterThan(0);
      expect(Number(drained)).toBeLessThan(DRAIN_S + 1);
      await ledger.nothingCommittedUnprocessed();
      await worker();
      const { doubled, text } = await ledger.verify(delivery);
      expect(doubled).toBe(0);
      seen(task, `${delivery}: exit 0 after ${drained} s with ${left} left to the next; ${text}`);
    },
  );
});
