import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { seen } from '../support/seen.js';
import { NO_SERVERS } from '../support/servers.js';
import { eventually, metric, tweet, workerStage } from '../support/worker-stage.js';

const SHIFT = pathToFileURL(resolve(import.meta.dirname, '../support/shift-clock.mjs')).href;
const TWEETS = 50;

describe.skipIf(NO_SERVERS)(`a worker whose clock jumps${NO_SERVERS}`, { timeout: 120_000 }, () => {
  it('fault 47: an hour on, then two hours back: tweets go on and are committed, and it stays in its group', async ({
    task,
  }) => {
    const stage = await workerStage();
    const worker = await stage.worker({ NODE_OPTIONS: `--import ${SHIFT}` });
    const rebalances = await metric(worker, 'mner_rebalances_total');
    let sent = 0;
    const portion = async (name: string) => {
      await stage.send(0, ...Array.from({ length: TWEETS }, (_, at) => tweet(`${name}-${at}`)));
      sent += TWEETS;
      const { value } = await stage.out(`${name}-${TWEETS - 1}`);
      await eventually(async () => (await stage.committed())[0] === sent);
      return Date.parse((JSON.parse(String(value)) as { processed_at: string }).processed_at);
    };
    const jump = async (ms: number) => {
      process.kill(worker.pid, 'SIGUSR2');
      await eventually(() => worker.log().includes(`the clock is ${ms} ms off`));
    };
    const before = await portion('before');
    await jump(3_600_000);
    const on = await portion('on');
    await jump(-3_600_000);
    const back = await portion('back');
    expect(on - before).toBeGreaterThanOrEqual(3_600_000);
    expect(on - back).toBeGreaterThan(5_400_000);
    expect(await metric(worker, 'mner_rebalances_total')).toBe(rebalances);
    expect((await fetch(`${worker.url}/readyz`)).status).toBe(200);
    expect(stage.outputs.records.all).toHaveLength(3 * TWEETS);
    seen(task, `at_least_once: +1 h, then -2 h: ${sent} of ${sent} out and committed, no rebalance, ready`);
  });

  it.for(['at_least_once', 'exactly_once'])(
    'fault 47: two hours ahead (%s), more than a topic allows: it waits and says why, loses nothing, and goes on once the clock is right',
    async (delivery, { task }) => {
      const stage = await workerStage();
      const worker = await stage.worker({
        ...{ NODE_OPTIONS: `--import ${SHIFT}`, MNER_TEST_CLOCK_SHIFTS: '7200000,0' },
        ...{ MNER_DELIVERY: delivery, MNER_START_FROM: 'earliest' },
      });
      const jump = async (ms: number) => {
        process.kill(worker.pid, 'SIGUSR2');
        await eventually(() => worker.log().includes(`the clock is ${ms} ms off`));
      };
      await stage.send(0, tweet('before'));
      await stage.out('before');
      await eventually(async () => (await stage.committed())[0] === 1);
      await jump(7_200_000);
      await stage.send(0, tweet('ahead'), '{');
      await eventually(() => worker.log().includes("this machine's clock is further ahead of the broker's"));
      expect(worker.log()).toMatch(/`message\.timestamp\.after\.max\.ms`\); set it right\./);
      expect(await stage.committed()).toEqual([1]);
      expect((await fetch(`${worker.url}/livez`)).status).toBe(200);
      await jump(0);
      await stage.out('ahead');
      await stage.dead.until(({ records }) => records.all.length > 0);
      await eventually(async () => (await stage.committed())[0] === 3);
      expect([stage.outputs, stage.dead].map(({ records }) => records.all.length)).toEqual([2, 1]);
      seen(task, `${delivery}, +2 h: waits and says why; 3 of 3 out, none twice, once the clock is right`);
    },
  );
});
