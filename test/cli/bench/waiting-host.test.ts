import { expect, it } from 'vitest';
import { waitingHost } from '#mner/cli/bench/waiting-host.js';
import type { InferenceHost, Tensors } from '#mner/inference/port.js';

const echo: InferenceHost = {
  provider: 'none',
  start: async () => {},
  stop: async () => {},
  run: async (_model, feeds) => feeds,
};

it('lets calls stand in line, each for as long as its padded tokens take', async () => {
  const host = waitingHost(echo, 0.5);
  const feeds: Tensors = { input_ids: { type: 'int64', data: new BigInt64Array(40), dims: [2, 20] } };
  const start = performance.now();
  const order: number[] = [];
  const call = async (turn: number) => {
    expect(await host.run('ham', feeds)).toBe(feeds);
    order.push(turn);
    return performance.now() - start;
  };
  const [first = 0, second = 0] = await Promise.all([call(1), call(2)]);
  expect(order).toEqual([1, 2]);
  // A timer may be late, and early by as long as the loop was busy when it was set: 20 ms and 40 ms, roughly.
  expect(first).toBeGreaterThan(10);
  expect(second).toBeGreaterThan(30);
});
