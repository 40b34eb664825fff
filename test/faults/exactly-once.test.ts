import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { inbox } from '../stream/inbox.js';
import { freshName } from '../stream/names.js';
import type { Ledger } from '../support/ledger.js';
import { LONG, seen } from '../support/seen.js';
import { eventually, metric } from '../support/worker-stage.js';
import { secondsSince, stage } from './stage.js';
import { TWEETS } from './tweets.js';

const SHIFT = pathToFileURL(resolve(import.meta.dirname, '../support/shift-clock.mjs')).href;

/** At least once, the same stands in `test/e2e/`: there one broker is enough. */
describe('a real worker that delivers exactly once, on three brokers', { timeout: 300_000 }, () => {
  const on = stage(3);

  /** Waits until the whole input is committed. */
  const committed = ({ input, group, fed }: Ledger) =>
    eventually(async () => {
      const offsets = await on.cluster.broker.offsets(input, group);
      return offsets.every(({ committed }) => Number(committed ?? 0n) === fed);
    });

  it.runIf(LONG)(
    'fault 20: partitions are added live: picked up exactly once, from their first record',
    async ({ task }) => {
      const { ledger, worker } = await on.play('exactly_once', { partitions: 3, partitionsAtFirst: 1, ...TWEETS });
      await worker({ MNER_START_FROM: 'earliest' });
      await ledger.feedOne(0, 50);
      await ledger.all();
      await ledger.grow();
      const grown = performance.now();
      for (const partition of [1, 2]) await ledger.feedOne(partition, 49);
      await ledger.all();
      const seconds = secondsSince(grown);
      await committed(ledger);
      const { text } = await ledger.verify('exactly_once');
      seen(task, `exactly_once: partitions 1 and 2 read after ${seconds} s; ${text}`);
    },
  );

  it.for(['while it was away', 'while it stood still'])(
    'fault 21: exactly once, retention was faster %s: an error that says so, and on from the oldest',
    async (when, { task }) => {
      const { ledger, worker } = await on.play('exactly_once', { partitions: 2, ...TWEETS });
      const env = { MNER_LOG_FORMAT: 'json' };
      let one = await worker(env);
      await ledger.feed(50);
      await ledger.all();
      await committed(ledger);
      const { pid } = one;
      if (when === 'while it was away') expect(await one.stop()).toBe(0);
      else process.kill(pid, 'SIGSTOP');
      // A fetch that waits at a broker would bring the records along before they are gone: one that began later has ended.
      const later = on.cluster.broker.consumer({ topics: [ledger.input], group: freshName('quiet') });
      await later.start(inbox());
      await later.stop();
      await ledger.feedOne(0, 30);
      expect(await ledger.cut(0, 70)).toBe(20);
      if (when === 'while it was away') one = await worker(env);
      else process.kill(pid, 'SIGCONT');
      await ledger.all();
      const line = one
        .log()
        .split('\n')
        .find((said) => said.includes('is out of range'));
      expect(JSON.parse(line ?? '{}')).toMatchObject({ level: 'error', from: '50', to: '70', policy: 'earliest' });
      expect(line).toContain('20 offsets are lost');
      expect(await metric(one, 'mner_offset_resets_total', 'to="earliest"')).toBe(1);
      const { text } = await ledger.verify('exactly_once');
      seen(task, `exactly_once, ${when}: offset 50 gone, on at 70, 20 named as lost; of the others ${text}`);
    },
  );

  it('fault 47: an hour on, then two hours back, exactly once: tweets go on and are committed, and it stays in its group', async ({
    task,
  }) => {
    const { ledger, worker } = await on.play('exactly_once', { partitions: 2, ...TWEETS });
    const one = await worker({ NODE_OPTIONS: `--import ${SHIFT}` });
    const rebalances = await metric(one, 'mner_rebalances_total');
    /** When the last of some more was processed, by its own clock. */
    const portion = async () => {
      await ledger.feed(50);
      await ledger.all();
      await committed(ledger);
      const last = ledger.outcomes().findLast(({ topic }) => topic === ledger.output);
      return Date.parse((JSON.parse(String(last?.record.value)) as { processed_at: string }).processed_at);
    };
    const jump = async (ms: number) => {
      process.kill(one.pid, 'SIGUSR2');
      await eventually(() => one.log().includes(`the clock is ${ms} ms off`));
    };
    const before = await portion();
    await jump(3_600_000);
    const ahead = await portion();
    await jump(-3_600_000);
    const back = await portion();
    expect(ahead - before).toBeGreaterThanOrEqual(3_600_000);
    expect(ahead - back).toBeGreaterThan(5_400_000);
    const { text } = await ledger.verify('exactly_once');
    expect(await metric(one, 'mner_rebalances_total')).toBe(rebalances);
    expect((await fetch(`${one.url}/readyz`)).status).toBe(200);
    seen(task, `exactly_once: +1 h, then -2 h: no rebalance, ready; ${text}`);
  });
});
