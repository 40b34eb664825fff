import { expect, test } from 'vitest';
import { createHealth } from '#mner/telemetry/health.js';

test('ready is a worker that is warm, has joined and is not draining', () => {
  const health = createHealth();
  expect(health.ready()).toEqual({
    ok: false,
    reasons: ['The models are not warm yet.', 'The worker has not joined its consumer group.'],
  });
  health.setWarm(true);
  health.askJoined(() => true);
  expect(health.ready()).toEqual({ ok: true, reasons: [] });
  health.drain();
  expect(health.ready()).toEqual({ ok: false, reasons: ['The worker is draining.'] });
});

test('a consumer that restarts itself makes the worker unready for that time only', () => {
  const health = createHealth();
  health.setWarm(true);
  health.askJoined(() => true);
  health.askJoined(() => false);
  expect(health.ready().ok).toBe(false);
  health.askJoined(() => true);
  expect(health.ready().ok).toBe(true);
});

test('alive does not look at Kafka, and the first failure is the one that is told', () => {
  const health = createHealth();
  expect(health.live()).toEqual({ ok: true, reasons: [] });
  health.fail('The inference process keeps failing.');
  health.fail('Something that followed from it.');
  expect(health.live()).toEqual({ ok: false, reasons: ['The inference process keeps failing.'] });
  expect(health.ready().reasons).toContain('The inference process keeps failing.');
});
