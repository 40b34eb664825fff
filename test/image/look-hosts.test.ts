import { setMaxListeners } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { memoryCache } from '#mner/image/cache/memory.js';
import { addressPolicy } from '#mner/image/fetch/address.js';
import { httpOrigin } from '#mner/image/fetch/http.js';
import { createImages } from '#mner/image/look.js';
import { growthOf, heapGauge } from '../support/heap.js';
import { answer, evilServer } from './evil-server.js';
import { quarters } from './pictures.js';
import { type CountingHost, TINY, tinyVision } from './vision-tiny.js';

const MB = 1024 * 1024;
let host: CountingHost;
/** Megabytes in use once they fall no more: undici lets go of a dial that ended when it next looks at its timers, twice a second. */
let settled: () => Promise<number>;
beforeAll(async () => {
  const used = heapGauge();
  settled = async () => {
    for (let last = used(); ; ) {
      await setTimeout(1_100);
      const now = used();
      if (now > last - 0.05) return now;
      last = now;
    }
  };
  host = await tinyVision();
});
afterAll(() => host.stop());

/** What each host costs at most, in bytes, once as many are known as are remembered. */
const BYTES_A_HOST = 600;

it.each([
  ['answer with a picture', '127.0.0.1', 3000, 'used'],
  ['have an address that is refused', '10.0.0.1', 4000, 'refused'],
  ['are known to no name server', null, 4000, 'unreachable'],
] as const)(
  'thousands of hosts that %s leave the memory flat',
  async (_, address, hosts, status) => {
    const jpeg = await quarters().jpeg().toBuffer();
    // Numbers, since a piece of a request's head would keep the whole of it in memory.
    const seen = new Set<number>();
    const server = await evilServer((_path, socket, head) => {
      seen.add(Number(/^host: p(\d+)\./im.exec(head)?.[1]));
      socket.end(answer('200 OK', { connection: 'close' }, jpeg));
    });
    const asked = new Set<number>();
    const origin = httpOrigin({
      policy: {
        ...addressPolicy({
          allow: ['127.0.0.0/8'],
          resolve(name, callback) {
            asked.add(Number(/^p(\d+)\./.exec(name)?.[1]));
            if (address !== null) return callback(null, [{ address, family: 4 }]);
            callback(Object.assign(new Error('no such name'), { code: 'ENOTFOUND' }), []);
          },
        }),
        // Only 80 and 443 are fetched otherwise, which a test cannot listen on.
        refuseUrl: () => null,
      },
      deadlineMs: 60_000,
      hosts: { maxHosts: 200 },
    });
    const images = createImages({
      origin,
      cache: memoryCache({ maxBytes: MB / 8 }),
      host,
      bundle: TINY,
      options: { budgetMs: 120_000 },
    });
    onTestFinished(async () => {
      await images.stop();
      await Promise.all([origin.stop(), server.stop()]);
    });
    const { signal } = new AbortController();
    setMaxListeners(0, signal);
    const look = async (from: number, to: number) => {
      for (let at = from; at < to; at += 50) {
        const urls = Array.from({ length: 50 }, (_, index) => `http://p${at + index}.example:${server.port}/a.jpg`);
        const looks = await Promise.all(urls.map((url) => images.look({ url }, signal)));
        expect(looks.filter((one) => one.status !== status || one.cache !== 'miss')).toEqual([]);
      }
      await server.quiet();
    };

    // Until the bounded memories are full and the code is warm.
    const part = hosts / 5;
    await look(0, part);
    const halves = [() => look(part, 3 * part), () => look(3 * part, 5 * part)];
    const grown = (await growthOf(settled, halves)).map((megabytes) => (megabytes * MB) / (2 * part));
    expect(asked.size).toBe(hosts);
    expect(seen.size).toBe(status === 'used' ? hosts : 0);
    expect(Math.min(...grown), `bytes a host in each half: ${grown.map(Math.round).join(', ')}`).toBeLessThan(
      BYTES_A_HOST,
    );
  },
  240_000,
);
