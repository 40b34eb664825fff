import { expect, it } from 'vitest';
import { limiter } from '#mner/image/limiter.js';

it('gives its slots in the order of asking', async () => {
  const slots = limiter(1);
  const first = await slots.take();
  const order: string[] = [];
  const second = slots.take().then((release) => {
    order.push('second');
    release?.();
  });
  const third = slots.take().then((release) => {
    order.push('third');
    release?.();
  });
  expect(slots.load).toBe(3);
  first?.();
  first?.();
  await Promise.all([second, third]);
  expect(order).toEqual(['second', 'third']);
  expect(slots.load).toBe(0);
});

it('lets go of those who give up', async () => {
  const slots = limiter(1);
  const release = await slots.take();
  const controller = new AbortController();
  const waiting = slots.take(controller.signal);
  controller.abort();
  expect(await waiting).toBeNull();
  expect(await slots.take(controller.signal)).toBeNull();
  release?.();
  expect(await slots.take()).not.toBeNull();
});
