import { describe, expect, it } from 'vitest';
import { given, transaction } from '../support/member.js';
import { LONG, seen } from '../support/seen.js';
import type { Shape } from '../support/tcp-proxy.js';
import { BOTH, secondsSince, stage } from './stage.js';
import { TWEETS } from './tweets.js';

/** How long a rate is measured. */
const LEAST_MS = 5000;

describe.runIf(LONG)('a bad network between workers and three brokers', { timeout: 120_000 }, () => {
  const on = stage(3);

  it.for(BOTH)(
    'fault 14: every connection dies after half a second to one and a half: %s',
    async (delivery, { task }) => {
      const { ledger, member } = await on.play(delivery, { partitions: 4 });
      const workers = [member('one'), member('two')];
      await Promise.all(workers.map((worker) => worker.says(given(2))));
      const connections = () => on.cluster.proxies.reduce((sum, proxy) => sum + proxy.connections, 0);
      const before = connections();
      on.cluster.shape({ lifeMs: [500, 1500] });
      const began = performance.now();
      // For as long as it takes for many to die: how much is done meanwhile is the machine's affair.
      do {
        await ledger.feed(50);
        await ledger.all();
      } while (connections() - before < 30 || ledger.fed < 150);
      const took = secondsSince(began);
      const died = connections() - before;
      on.cluster.shape({});
      const { text } = await ledger.verify(delivery);
      for (const worker of workers) worker.signal('SIGTERM');
      expect(await Promise.all(workers.map(({ exit }) => exit))).toEqual([0, 0]);
      seen(task, `${delivery}: ${ledger.fed} ids in ${took} s over ${died} connections; ${text}`);
    },
  );

  it.for(BOTH)('fault 15: the connections to the brokers are half open: %s', async (delivery, { task }) => {
    const { ledger, worker } = await on.play(delivery, { partitions: 2, ...TWEETS });
    const { url, stop } = await worker();
    await ledger.feed(100);
    await ledger.all();
    const ready = async () => (await fetch(`${url}/readyz`)).ok;
    const becomes = (wanted: boolean) => expect.poll(ready, { timeout: 60_000, interval: 100 }).toBe(wanted);
    await becomes(true);
    await Promise.all(on.cluster.proxies.map((proxy) => proxy.become('hang')));
    const hung = performance.now();
    await ledger.feed(100);
    await becomes(false);
    const noticed = secondsSince(hung);
    expect((await fetch(`${url}/livez`)).ok).toBe(true);
    await Promise.all(on.cluster.proxies.map((proxy) => proxy.become('pass')));
    const mended = performance.now();
    await becomes(true);
    await ledger.progress(1);
    const back = secondsSince(mended);
    const { text } = await ledger.verify(delivery);
    expect(await stop()).toBe(0);
    seen(task, `${delivery}: unready after ${noticed} s, back ${back} s after its end; ${text}`);
  });

  it.for(BOTH)('fault 16: latency of 300 ms, then little bandwidth too: %s', async (delivery, { task }) => {
    const { ledger, member } = await on.play(delivery, { partitions: 4 });
    const workers = [1, 2].map((n) => member(`worker-${n}`, { recordMs: 2, laneRecords: 64, timeoutMs: 3900 }));
    await Promise.all(workers.map((worker) => worker.says(given(2))));
    const froms = workers.map(({ said }) => said.length);
    const weather: readonly [string, Shape][] = [
      ['as it is', {}],
      ['100 ms', { latencyMs: 50 }],
      ['300 ms', { latencyMs: 150 }],
      ['300 ms and 64 kB/s', { latencyMs: 150, bytesPerSecond: 64_000 }],
    ];
    const rates: number[] = [];
    for (const [, shape] of weather) {
      on.cluster.shape(shape);
      // For as long as many round trips take, so that the rate is not that of the first, nor of a moment in which the machine was busy.
      let [done, ms] = [0, 0];
      while (ms < LEAST_MS) {
        await ledger.feed(1000);
        const [began, before] = [performance.now(), ledger.seen];
        await ledger.all();
        done += ledger.seen - before;
        ms += performance.now() - began;
      }
      rates.push((done * 1000) / ms);
    }
    on.cluster.shape({});
    const moved = workers.flatMap(({ said }, i) => said.slice(froms[i]).filter(({ type }) => type === 'assigned'));
    expect(moved).toEqual([]);
    const aborted = workers.flatMap(({ said }) => said.filter((one) => transaction('aborted')(one)));
    expect(aborted).toEqual([]);
    const told = weather.map(([name], step) => `${Math.round(rates[step] as number)}/s ${name}`).join(', ');
    // Without latency it is the machine's rate. Where latency rules it grows by three at most from one to the next, and a rate falls by as much.
    expect(rates[1], told).toBeGreaterThan(0);
    for (const step of [2, 3]) expect(rates[step], told).toBeGreaterThan((rates[step - 1] as number) / 4);
    const { text } = await ledger.verify(delivery);
    seen(task, `${delivery}: no rebalance; ${told}; ${text}`);
  });
});
