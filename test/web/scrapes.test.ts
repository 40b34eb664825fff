import { expect, it } from 'vitest';
import { manualClock } from '#mner/clock.js';
import { createScrapes } from '#mner/web/scrapes.js';

/** A rendering that takes `ms`, and says how many there were before. */
function world(ms: number) {
  const clock = manualClock();
  let renderings = 0;
  const scrape = createScrapes(
    () =>
      new Promise((resolve) => {
        const text = String(renderings++);
        clock.after(ms, () => resolve(text));
      }),
    clock,
  );
  return { clock, scrape, renderings: () => renderings };
}

it('scrapes at the same time share one rendering', async () => {
  const { clock, scrape, renderings } = world(2);
  const texts = Array.from({ length: 100 }, () => scrape());
  clock.advance(2);
  expect(new Set(await Promise.all(texts))).toEqual(new Set(['0']));
  expect(renderings()).toBe(1);
});

it('rendering takes a tenth of the time at most, and a scrape after that sees the present', async () => {
  const { clock, scrape } = world(2);
  const first = scrape();
  clock.advance(2);
  expect(await first).toBe('0');
  clock.advance(17);
  expect(await scrape()).toBe('0');
  clock.advance(1);
  const next = scrape();
  clock.advance(2);
  expect(await next).toBe('1');
});

it('a rendering that failed is not given to the next one', async () => {
  const clock = manualClock();
  let fails = true;
  const scrape = createScrapes(async () => {
    if (fails) throw new Error('no');
    return 'text';
  }, clock);
  await expect(scrape()).rejects.toThrow('no');
  fails = false;
  expect(await scrape()).toBe('text');
});
