import { setMaxListeners } from 'node:events';
import { expect, it } from 'vitest';
import { manualClock } from '#mner/clock.js';
import { memoryCache } from '#mner/image/cache/memory.js';
import { createImages } from '#mner/image/look.js';
import type { Fetched } from '#mner/image/port.js';
import { growthOf, heapGauge } from '../support/heap.js';
import { quarters } from './pictures.js';
import { TINY, tinyVision } from './vision-tiny.js';

const PICTURES = 100_000;
const HOUR_MS = 3_600_000;
const MB = 1024 * 1024;

it('a hundred thousand distinct pictures in an hour leave the memory flat', { timeout: 300_000 }, async () => {
  const used = heapGauge();
  const host = await tinyVision();
  const clock = manualClock();
  const jpeg = await quarters().jpeg().toBuffer();
  // Every fiftieth is a picture that is looked at; the others fail in all the ways in which pictures fail.
  const failures = ['not_found', 'unreachable', 'refused', 'timed_out', 'rate_limited', 'too_large'] as const;
  let asked = 0;
  const origin = {
    async fetch(): Promise<Fetched> {
      asked += 1;
      if (asked % 50 === 0) return { status: 'ok', bytes: jpeg };
      return { status: failures[asked % failures.length] ?? 'not_found', detail: '' };
    },
    async stop() {},
  };
  const cache = memoryCache({ clock, maxBytes: 4 * MB });
  const images = createImages({ origin, cache, host, bundle: TINY, clock });
  const { signal } = new AbortController();
  setMaxListeners(0, signal);
  const counts = new Map<string, number>();
  // The extractor waits by the clock.
  const move = setInterval(() => clock.advance(1), 1);

  const look = async (from: number, to: number) => {
    for (let at = from; at < to; at += 500) {
      const urls = Array.from({ length: 500 }, (_, index) => `https://pictures.example/${at + index}.jpg`);
      for (const { status } of await Promise.all(urls.map((url) => images.look({ url }, signal)))) {
        counts.set(status, (counts.get(status) ?? 0) + 1);
      }
      clock.advance((HOUR_MS * 500) / PICTURES);
    }
  };

  try {
    // Until the bounded cache is full and the code is warm.
    const part = PICTURES / 5;
    await look(0, part);
    const grown = await growthOf(used, [() => look(part, 3 * part), () => look(3 * part, 5 * part)]);
    expect(asked).toBe(PICTURES);
    expect(counts.get('used')).toBe(PICTURES / 50);
    expect(Math.min(...grown), `MB in each half: ${grown.join(', ')}`).toBeLessThan(4);
  } finally {
    clearInterval(move);
    await images.stop();
    await host.stop();
  }
});
