import { afterEach, expect, it, vi } from 'vitest';
import { manualClock } from '#mner/clock.js';
import { createCircuit } from '#mner/image/fetch/circuit.js';
import { seen } from '../../support/seen.js';

afterEach(() => {
  vi.useRealTimers();
});

function world() {
  const clock = manualClock();
  let opened = 0;
  const circuit = createCircuit({ failures: 3, pauseMs: 1000, clock, opened: () => (opened += 1) });
  const run = (failing: boolean) => circuit.run(async () => ({ failing }));
  return { clock, circuit, run, opened: () => opened };
}

it('opens after so many failures in a row', async () => {
  const { circuit, run, opened } = world();
  await run(true);
  await run(true);
  await run(false);
  await run(true);
  await run(true);
  expect(circuit.closedFor()).toBe(0);
  await run(true);
  expect(circuit.closedFor()).toBe(1000);
  expect(opened()).toBe(1);
});

it('lets one request find out whether the host is well, and nobody beside it', async () => {
  const { clock, circuit, run, opened } = world();
  for (let time = 0; time < 3; time += 1) await run(true);
  clock.advance(999);
  expect(circuit.closedFor()).toBe(1);
  clock.advance(1);
  expect(circuit.closedFor()).toBe(0);
  const probe = run(true);
  expect(circuit.closedFor()).toBeGreaterThan(0);
  await probe;
  expect(circuit.closedFor()).toBe(1000);
  expect(opened()).toBe(2);
  clock.advance(1000);
  await run(false);
  expect(circuit.closedFor()).toBe(0);
  await run(true);
  expect(circuit.closedFor()).toBe(0);
});

it('learns nothing from work that throws', async () => {
  const { circuit, run } = world();
  await run(true);
  await run(true);
  await expect(circuit.run(() => Promise.reject(new Error('refused')))).rejects.toThrow('refused');
  expect(circuit.closedFor()).toBe(0);
  await run(true);
  expect(circuit.closedFor()).toBe(1000);
});

it.for([-3_600_000, 3_600_000])(
  'fault 47: does not care about a wall clock that jumps by %d ms',
  async (jump, { task }) => {
    vi.useFakeTimers({ toFake: ['Date'] });
    const { clock, circuit, run } = world();
    for (let time = 0; time < 3; time += 1) await run(true);
    vi.setSystemTime(Date.now() + jump);
    expect(circuit.closedFor()).toBe(1000);
    clock.advance(1000);
    await run(false);
    expect(circuit.closedFor()).toBe(0);
    seen(task, "the pause of a host's circuit does not move with the wall clock");
  },
);
