import { afterEach, expect, it } from 'vitest';
import { systemClock } from '#mner/clock.js';
import { createDecodeProcess, type DecodeProcess } from '#mner/image/decode-process.js';
import type { Event } from '#mner/telemetry/events.js';

let one: DecodeProcess | undefined;
afterEach(() => one?.stop());

it('is replaced after so many pictures', async () => {
  const events: Event[] = [];
  one = createDecodeProcess({
    size: 8,
    maxPixels: 1e6,
    timeoutMs: 5000,
    startTimeoutMs: 30_000,
    maxMemoryBytes: 512 * 2 ** 20,
    program: 'test/image/programs/decode-fault.mjs',
    pictures: 2,
    clock: systemClock,
    emit: (event) => events.push(event),
  });
  const pids = [];
  for (let picture = 0; picture < 5; picture += 1) {
    expect((await one.decode(Buffer.from('01234567'))).status).toBe('ok');
    pids.push(one.pid);
  }
  const [first, second, third, fourth, fifth] = pids;
  expect(second).toBe(first);
  expect(fourth).toBe(third);
  expect(new Set([first, third, fifth]).size).toBe(3);
  expect(events).toEqual([]);
});
