import type { Profiler } from 'node:inspector';
import { expect, it } from 'vitest';
import { shareOf, TELEMETRY } from '#mner/cli/bench/cpu-profile.js';

const node = (id: number, functionName: string, url: string, children: number[] = []): Profiler.ProfileNode => ({
  id,
  callFrame: { functionName, url, scriptId: '0', lineNumber: 0, columnNumber: 0 },
  children,
});

const profile = (samples: number[]): Profiler.Profile => ({
  startTime: 0,
  endTime: 1,
  nodes: [
    node(1, '(root)', '', [2, 3, 4, 7]),
    node(2, '(idle)', ''),
    node(3, '(program)', ''),
    node(4, 'deliver', 'file:///app/dist/stream/lanes.js', [5]),
    node(5, 'emit', 'file:///app/dist/telemetry/telemetry.js', [6]),
    node(6, 'observe', 'node:internal/timers'),
    node(7, 'inc', '/app/node_modules/prom-client/lib/counter.js'),
  ],
  samples,
});

it('counts what the files do and what they call, and leaves out what is no JavaScript', () => {
  expect(shareOf(profile([1, 2, 2, 3, 4, 4, 4, 4, 4, 5, 6, 7]), TELEMETRY)).toBeCloseTo(3 / 8);
});

it('is nothing where nothing ran', () => {
  expect(shareOf(profile([2, 2, 3]), TELEMETRY)).toBe(0);
});
