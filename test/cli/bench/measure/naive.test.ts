import { expect, it } from 'vitest';
import { naiveGoal } from '#mner/cli/bench/measure/naive.js';

it('asks for more of a GPU, which a call for one message leaves idle for most of the time', () => {
  expect(['cpu', 'webgpu', 'cuda'].map(naiveGoal)).toEqual([2, 5, 5]);
});
