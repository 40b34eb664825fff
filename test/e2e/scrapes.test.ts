import { once } from 'node:events';
import { Agent, get } from 'node:http';
import { connect } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { processTree } from '#mner/cli/bench/process-tree.js';
import { LONG, seen } from '../support/seen.js';
import { NO_SERVERS } from '../support/servers.js';
import { tweet, workerStage } from '../support/worker-stage.js';

/** Some seconds of the real model, beside which what a storm leaves behind to be tidied up is little. */
const TWEETS = 2000;
const HANGING = 20;
/** Scrapes a second. */
const STORM = 1000;
/** Of the worker's own process, for each scrape: Node's HTTP takes most of it. */
const SCRAPE_MS = 1;

/** Opens `/metrics` again and again over one connection, and never reads: more is owed to it than the system's buffers take. */
async function hang(url: URL): Promise<void> {
  const socket = connect(Number(url.port), url.hostname);
  onTestFinished(() => void socket.destroy());
  socket.on('error', () => {});
  await once(socket, 'connect');
  socket.pause();
  socket.write(`GET /metrics HTTP/1.1\r\nHost: ${url.host}\r\n\r\n`.repeat(500));
}

interface Storm {
  readonly scrapes: number;
  readonly answered: number;
  /** Scrapes a second: those that were sent, and those that were answered until the last was. */
  readonly offered: number;
  readonly served: number;
}

/** {@link STORM} scrapes a second, however slowly they are answered, until it is told to stop and all of them are. */
function storm(url: URL): { stop(): Promise<Storm> } {
  const agent = new Agent({ keepAlive: true, maxSockets: 32 });
  onTestFinished(() => agent.destroy());
  const asked: Promise<boolean>[] = [];
  const began = performance.now();
  const seconds = () => (performance.now() - began) / 1000;
  const scrape = () =>
    new Promise<boolean>((resolve) => {
      get(new URL('/metrics', url), { agent }, (response) => {
        response.resume().on('end', () => resolve(response.statusCode === 200));
      }).on('error', () => resolve(false));
    });
  // What a late turn of ours has missed is made up for.
  const pace = setInterval(() => {
    while (asked.length < STORM * seconds()) asked.push(scrape());
  }, 10);
  onTestFinished(() => clearInterval(pace));
  return {
    async stop() {
      clearInterval(pace);
      const [scrapes, offered] = [asked.length, asked.length / seconds()];
      const answered = (await Promise.all(asked)).filter(Boolean).length;
      return { scrapes, answered, offered, served: scrapes / seconds() };
    },
  };
}

describe.skipIf(NO_SERVERS)(`a worker that is scraped in a strange way${NO_SERVERS}`, { timeout: 240_000 }, () => {
  it.runIf(LONG)(
    'fault 49: scrapes that are never read, and a thousand a second: every tweet comes through, it stays ready, and they cost it little',
    async ({ task }) => {
      const stage = await workerStage();
      const worker = await stage.worker({
        MNER_MODELS_DIR: 'models',
        MNER_BUNDLE: 'ham-int8',
        MNER_REPEAT_CACHE_BYTES: '0',
      });
      const url = new URL(worker.url);
      // Of the worker's own process, in which fetching, writing and scrapes share one thread; the model has another one.
      const cpu = () => processTree(worker.pid)[0].cpu;
      const portion = async (name: string) => {
        const [began, spent] = [performance.now(), cpu()];
        await stage.send(0, ...Array.from({ length: TWEETS }, (_, at) => tweet(`${name}-${at}`)));
        await stage.out(`${name}-${TWEETS - 1}`);
        return { rate: TWEETS / ((performance.now() - began) / 1000), cpu: cpu() - spent };
      };
      const ready = async () => (await fetch(new URL('/readyz', url))).status;
      await portion('warm');
      const before = await portion('before');

      const spent = cpu();
      const storming = storm(url);
      const stormed = await portion('stormed');
      expect(await ready()).toBe(200);
      const { scrapes, answered, offered, served } = await storming.stop();
      const eachMs = ((cpu() - spent - before.cpu) / scrapes) * 1000;
      expect(offered).toBeGreaterThan(0.9 * STORM);
      expect(answered).toBe(scrapes);

      const after = await portion('after');
      for (let one = 0; one < HANGING; one += 1) await hang(url);
      // Answered after all that the buffers have taken.
      expect(await ready()).toBe(200);
      const hung = await portion('hung');
      expect(await ready()).toBe(200);
      expect(stage.outputs.records.all).toHaveLength(5 * TWEETS);

      const undisturbed = { rate: (before.rate + after.rate) / 2, cpu: (before.cpu + after.cpu) / 2 };
      const part = ({ rate }: { rate: number }) => (rate / undisturbed.rate).toFixed(2);
      const told =
        `${Math.round(offered)} scrapes/s sent, ${Math.round(served)}/s answered, ${answered} of ${scrapes}: ${eachMs.toFixed(2)} ms of the worker's CPU each; ` +
        `${HANGING} that are never read: its CPU for ${TWEETS} tweets ${undisturbed.cpu.toFixed(2)} s → ${hung.cpu.toFixed(2)} s; ` +
        `${5 * TWEETS} of ${5 * TWEETS} out, /readyz 200; by the clock ${part(stormed)} and ${part(hung)} of ${Math.round(undisturbed.rate)} tweets/s`;
      seen(task, told);
      // By the clock it is told, not judged: who scrapes has the same cores as who is scraped, and as the model.
      expect(eachMs, told).toBeLessThan(SCRAPE_MS);
      // One that turned in circles for them would take ten times as much.
      expect(hung.cpu, told).toBeLessThan(3 * undisturbed.cpu);
    },
  );
});
