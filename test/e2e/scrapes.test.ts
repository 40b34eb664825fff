import { once } from 'node:events';
import { Agent, get } from 'node:http';
import { connect } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { LONG, seen } from '../support/seen.js';
import { NO_SERVERS } from '../support/servers.js';
import { tweet, workerStage } from '../support/worker-stage.js';

/** About three seconds of the real model. */
const TWEETS = 600;
const HANGING = 20;
const STORM = { scrapes: 4000, every: 10, each: 10 };

/** Opens `/metrics` again and again over one connection, and never reads: more is owed to it than the system's buffers take. */
async function hang(url: URL): Promise<void> {
  const socket = connect(Number(url.port), url.hostname);
  onTestFinished(() => void socket.destroy());
  socket.on('error', () => {});
  await once(socket, 'connect');
  socket.pause();
  socket.write(`GET /metrics HTTP/1.1\r\nHost: ${url.host}\r\n\r\n`.repeat(500));
}

/** A thousand scrapes a second, as near as the machine can; gives how many a second it was, and how many were answered. */
function storm(url: URL): Promise<{ rate: number; answered: number }> {
  const agent = new Agent({ keepAlive: true, maxSockets: 32 });
  onTestFinished(() => agent.destroy());
  let [sent, done, answered] = [0, 0, 0];
  const began = performance.now();
  return new Promise((resolve) => {
    const end = () => {
      done += 1;
      if (done === STORM.scrapes) resolve({ rate: (done / (performance.now() - began)) * 1000, answered });
    };
    const pace = setInterval(() => {
      for (let one = 0; one < STORM.each && sent < STORM.scrapes; one += 1, sent += 1)
        get(new URL('/metrics', url), { agent }, (response) => {
          if (response.statusCode === 200) answered += 1;
          response.resume().on('end', end);
        }).on('error', end);
      if (sent === STORM.scrapes) clearInterval(pace);
    }, STORM.every);
  });
}

describe.skipIf(NO_SERVERS)(`a worker that is scraped in a strange way${NO_SERVERS}`, { timeout: 120_000 }, () => {
  it.runIf(LONG)(
    'fault 49: scrapes that are never read, and a thousand a second: every tweet comes through, and it stays ready',
    async ({ task }) => {
      const stage = await workerStage();
      const worker = await stage.worker({
        MNER_MODELS_DIR: 'models',
        MNER_BUNDLE: 'ham-int8',
        MNER_REPEAT_CACHE_BYTES: '0',
      });
      const url = new URL(worker.url);
      const portion = async (name: string) => {
        const began = performance.now();
        await stage.send(0, ...Array.from({ length: TWEETS }, (_, at) => tweet(`${name}-${at}`)));
        await stage.out(`${name}-${TWEETS - 1}`);
        return TWEETS / ((performance.now() - began) / 1000);
      };
      const ready = async () => (await fetch(new URL('/readyz', url))).status;
      await portion('warm');
      const before = await portion('before');
      const storming = storm(url);
      const stormed = await portion('stormed');
      expect(await ready()).toBe(200);
      const { rate, answered } = await storming;
      expect(answered).toBe(STORM.scrapes);
      const after = await portion('after');
      for (let one = 0; one < HANGING; one += 1) await hang(url);
      // Answered after all that the buffers have taken.
      expect(await ready()).toBe(200);
      const hung = await portion('hung');
      expect(await ready()).toBe(200);
      expect(stage.outputs.records.all).toHaveLength(5 * TWEETS);
      const undisturbed = (before + after) / 2;
      const part = (during: number) => during / undisturbed;
      seen(
        task,
        `${Math.round(undisturbed)} tweets/s undisturbed; ${Math.round(rate)} scrapes/s: ${part(stormed).toFixed(2)} of that; ${HANGING} scrapes that are never read: ${part(hung).toFixed(2)}; ${5 * TWEETS} of ${5 * TWEETS} out, /readyz 200`,
      );
      // The storm's own figure is told, not judged: who scrapes has the same cores as who is scraped.
      expect(part(hung)).toBeGreaterThan(0.6);
    },
  );
});
