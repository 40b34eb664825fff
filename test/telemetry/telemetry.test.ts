import { expect, test } from 'vitest';
import { createTelemetry } from '#mner/telemetry/telemetry.js';

test('one event is counted and written', async () => {
  const lines: string[] = [];
  const telemetry = createTelemetry({ log: { write: (line) => lines.push(line) }, nodeMetrics: false });
  telemetry.emit({ type: 'degraded', reason: 'cache', on: true });
  expect(lines).toHaveLength(1);
  expect(await telemetry.metrics.render()).toContain('mner_degraded{reason="cache"} 1\n');
  telemetry.stop();
  telemetry.stop();
});

test('an event with a value that is none does not throw, and is told once', async () => {
  const lines: string[] = [];
  const telemetry = createTelemetry({ log: { write: (line) => lines.push(line) }, nodeMetrics: false });
  for (let i = 0; i < 3; i++) telemetry.emit({ type: 'end_to_end', seconds: Number.NaN });
  expect(lines).toHaveLength(1);
  expect(JSON.parse(lines[0]!)).toMatchObject({ level: 'error', msg: 'Events of type end_to_end cannot be counted.' });
  telemetry.stop();
});
