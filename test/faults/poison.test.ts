import { describe, expect, it } from 'vitest';
import { median } from '#mner/cli/bench/figure.js';
import { processTree } from '#mner/cli/bench/process-tree.js';
import { LONG, seen } from '../support/seen.js';
import { FAULTY, NO_SERVERS } from '../support/servers.js';
import type { WorkerProcess } from '../support/worker-process.js';
import { tweet, type WorkerStage, workerStage } from '../support/worker-stage.js';

const WINDOWS = 4;
/** The rate that healthy rows must keep. */
const KEPT = 0.9;

/** The real model, as configured but for its memory of texts. */
const REAL = { MNER_MODELS_DIR: 'models', MNER_BUNDLE: 'ham-int8', MNER_REPEAT_CACHE_BYTES: '0' };

const CUT_OFF = '{"id":"7","text":"Kobe Bryant met Anna in Oslo';
const UNPARSEABLE = [CUT_OFF, Buffer.from([0xff, 0xfe, 0x7b]), '{"event":"like"}', '{"id":"7"}'];

interface Window {
  readonly healthy: number;
  /** The others, each of which becomes a dead letter. */
  readonly poison?: readonly (Buffer | string)[];
}

interface Cost {
  readonly cpu: number;
  readonly wall: number;
}

/** Sends windows of rows through one worker, the poison spread among the healthy ones, and waits until all of them are out. */
function windowsOf(on: WorkerStage, worker: WorkerProcess) {
  const texts: string[] = [];
  let dead = 0;
  const cpu = () => processTree(worker.pid).reduce((sum, one) => sum + one.cpu, 0);
  return {
    /** Ids of the healthy rows so far. */
    ids: texts,
    get dead() {
      return dead;
    },
    async pass({ healthy, poison = [] }: Window): Promise<Cost> {
      const rows: (Buffer | string)[] = [];
      for (let i = 0, poisoned = 0; i < healthy; i += 1) {
        const id = `${texts.length}`;
        texts.push(id);
        rows.push(tweet(id, `Kobe Bryant met Anna ${id} times in Oslo before the game against Boston`));
        while (poisoned < Math.round(((i + 1) / healthy) * poison.length)) rows.push(poison[poisoned++] as Buffer);
      }
      dead += poison.length;
      const [began, spent] = [performance.now(), cpu()];
      await on.send(0, ...rows);
      await on.outputs.until(({ records }) => records.all.length >= texts.length);
      await on.dead.until(({ records }) => records.all.length >= dead);
      return { cpu: cpu() - spent, wall: (performance.now() - began) / 1000 };
    },
  };
}

/** The median costs of windows of two kinds, which go in turns. */
async function compare(pass: (window: Window) => Promise<Cost>, clean: Window, mixed: Window) {
  // Both are warm before they count.
  await pass(clean);
  await pass(mixed);
  const costs: Record<'clean' | 'mixed', Cost[]> = { clean: [], mixed: [] };
  for (let i = 0; i < WINDOWS; i += 1) {
    costs.clean.push(await pass(clean));
    costs.mixed.push(await pass(mixed));
  }
  const middle = (side: readonly Cost[]): Cost => ({
    cpu: median(side.map(({ cpu }) => cpu)),
    wall: median(side.map(({ wall }) => wall)),
  });
  return { clean: middle(costs.clean), mixed: middle(costs.mixed) };
}

const percent = (share: number) => `${(share * 100).toFixed(0)} %`;

describe.skipIf(NO_SERVERS)(`poison among what comes${NO_SERVERS}`, { timeout: 400_000 }, () => {
  /** All poison is in the dead letters, and each healthy row out once, in order. */
  const expectAllOut = async (
    on: WorkerStage,
    { ids, dead }: { readonly ids: readonly string[]; readonly dead: number },
  ) => {
    const out = on.outputs.records.all.map(({ value }) => (JSON.parse(String(value)) as { tweet_id: string }).tweet_id);
    expect(out).toEqual(ids);
    expect(on.dead.records.all.length).toBe(dead);
    expect(await on.committed()).toEqual([ids.length + dead]);
  };

  it.runIf(LONG)('fault 26: 30 % that cannot be parsed: healthy rows keep their rate', async ({ task }) => {
    const on = await workerStage();
    const worker = await on.worker(REAL);
    const windows = windowsOf(on, worker);
    const healthy = 700;
    const poison = Array.from({ length: (healthy * 3) / 7 }, (_, i) => UNPARSEABLE[i % UNPARSEABLE.length] as string);
    const { clean, mixed } = await compare(windows.pass, { healthy }, { healthy, poison });
    const kept = { cpu: clean.cpu / mixed.cpu, wall: clean.wall / mixed.wall };
    expect(await worker.stop()).toBe(0);
    await expectAllOut(on, windows);
    const told = `30 % not to be parsed: healthy rows keep ${percent(kept.cpu)} of their rate by CPU time, ${percent(kept.wall)} by the clock`;
    seen(task, told);
    expect(kept.cpu, told).toBeGreaterThanOrEqual(KEPT);
  });

  it.runIf(LONG)(
    'fault 26: 30 % with NaN: one costs little more than the healthy row in its place',
    async ({ task }) => {
      const on = await workerStage();
      const worker = await on.worker({ ...FAULTY, MNER_REPEAT_CACHE_BYTES: '0' });
      const windows = windowsOf(on, worker);
      // This model costs next to nothing: what is seen is what the worker itself does with a row.
      const healthy = 2800;
      const nan = (i: number) => tweet(`nan ${i}`, `Anna met nan ${i} times in Oslo`);
      const poison = Array.from({ length: (healthy * 3) / 7 }, (_, i) => nan(i));
      const all = healthy + poison.length;
      const { clean, mixed } = await compare(windows.pass, { healthy: all }, { healthy, poison });
      expect(await worker.stop()).toBe(0);
      await expectAllOut(on, windows);

      const real = await workerStage();
      const { pass } = windowsOf(real, await real.worker(REAL));
      await pass({ healthy: 280 });
      const costs: number[] = [];
      for (let i = 0; i < WINDOWS; i += 1) costs.push((await pass({ healthy: 280 })).cpu / 280);
      const row = median(costs);
      const more = (mixed.cpu - clean.cpu) / all;
      const kept = row / (row + more);
      const ms = (seconds: number) => `${(seconds * 1000).toFixed(2)} ms`;
      const told =
        `30 % NaN: ${ms(more)} of CPU more for each row, of ${ms(row)} with the real model: healthy rows keep ${percent(kept)} of the rate ` +
        `that they have beside healthy ones (${percent(clean.cpu / mixed.cpu)} with a model that costs nothing)`;
      seen(task, told);
      expect(kept, told).toBeGreaterThanOrEqual(KEPT);
    },
  );

  it('fault 26: 30 % that make their batch throw: each alone is a dead letter, the others are out', async ({
    task,
  }) => {
    const on = await workerStage();
    const worker = await on.worker({ ...FAULTY, MNER_REPEAT_CACHE_BYTES: '0' });
    const windows = windowsOf(on, worker);
    const poison = Array.from({ length: 60 }, (_, i) => tweet(`poison ${i}`, `Anna met poison ${i} times in Oslo`));
    await windows.pass({ healthy: 140, poison });
    expect(await worker.stop()).toBe(0);
    await expectAllOut(on, windows);
    seen(task, `30 % that throw: ${poison.length} of ${poison.length} dead letters, 140 of 140 out`);
  });
});
