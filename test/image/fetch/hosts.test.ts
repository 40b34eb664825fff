import { setMaxListeners } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { manualClock } from '#mner/clock.js';
import { createHosts, type HostsOptions, type Visit } from '#mner/image/fetch/hosts.js';
import type { Event } from '#mner/telemetry/events.js';

const WELL: Visit<string> = { answer: 'picture', failing: false, pauseMs: null };
const FAILING: Visit<string> = { answer: 'broken', failing: true, pauseMs: null };
const asksFor = (pauseMs: number): Visit<string> => ({ answer: 'too many', failing: false, pauseMs });

function world(options: Omit<HostsOptions, 'clock'> = {}) {
  const clock = manualClock();
  const events: Event[] = [];
  const hosts = createHosts({ ...options, clock, emit: (event) => void events.push(event) });
  const controller = new AbortController();
  // In the origin each fetch has a signal of its own.
  setMaxListeners(0, controller.signal);
  let asked = 0;
  const visit = (name: string, outcome: Visit<string> | Promise<Visit<string>> = WELL) =>
    hosts.visit(name, { signal: controller.signal, endsAt: clock.now() + 5_000 }, async () => {
      asked += 1;
      return outcome;
    });
  return { clock, events, hosts, controller, visit, asked: () => asked };
}

it('leaves a host alone for as long as it asked, says so at once, and leaves the others be', async () => {
  const { clock, events, visit, asked } = world();
  expect(await visit('a', asksFor(60_000))).toBe('too many');
  clock.advance(20_000);
  expect(await visit('a')).toMatchObject({ status: 'rate_limited', retryMs: 40_000 });
  expect(await visit('b')).toBe('picture');
  clock.advance(39_999);
  expect(await visit('a')).toMatchObject({ status: 'rate_limited', retryMs: 1 });
  clock.advance(1);
  expect(await visit('a')).toBe('picture');
  expect(asked()).toBe(3);
  expect(events).toEqual([{ type: 'image_host_pause', reason: 'retry_after' }]);
});

it('never shortens a pause', async () => {
  const { visit } = world();
  await Promise.all([visit('a', asksFor(60_000)), visit('a', asksFor(1_000))]);
  expect(await visit('a')).toMatchObject({ status: 'rate_limited', retryMs: 60_000 });
});

it('does not ask for those either that waited for their turn when the pause began', async () => {
  const { visit, asked } = world({ perHost: 1 });
  const answers = await Promise.all([visit('a', asksFor(1_000)), visit('a'), visit('a')]);
  expect(answers).toEqual(['too many', ...Array.from({ length: 2 }, () => expect.objectContaining({ retryMs: 1000 }))]);
  expect(asked()).toBe(1);
});

it('keeps away from a host that fails, asks once after the pause, and comes back', async () => {
  const { clock, events, visit, asked } = world({ circuitFailures: 2, circuitPauseMs: 10_000 });
  await visit('a', FAILING);
  await visit('a', FAILING);
  expect(await visit('a')).toMatchObject({ status: 'unreachable', retryMs: 10_000 });
  expect(await visit('b')).toBe('picture');
  clock.advance(10_000);
  const probe = visit('a', WELL);
  expect(await visit('a')).toMatchObject({ status: 'unreachable' });
  expect(await probe).toBe('picture');
  expect(await visit('a')).toBe('picture');
  expect(asked()).toBe(5);
  expect(events).toEqual([{ type: 'image_host_pause', reason: 'failing' }]);
});

it('asks a host no more often than its rate, and gives up at once what would come too late', async () => {
  const { clock, visit, asked } = world({ ratePerHost: 2 });
  const visits = Array.from({ length: 20 }, () => visit('a'));
  await Promise.all([visits[0], visits[1], visits[19]]);
  expect(asked()).toBe(2);
  expect(await visits[19]).toMatchObject({ status: 'rate_limited', retryMs: 1000 });
  clock.advance(500);
  expect(await visits[2]).toBe('picture');
  expect(asked()).toBe(3);
  clock.advance(4_500);
  const answers = await Promise.all(visits);
  expect(answers.filter((answer) => answer === 'picture')).toHaveLength(12);
});

it('lets those go who wait for nothing any more', async () => {
  const { controller, visit, asked } = world({ ratePerHost: 1, perHost: 2 });
  const never = new Promise<Visit<string>>(() => {});
  const held = visit('a', never);
  const paced = visit('a');
  const queued = visit('a');
  await turn();
  controller.abort();
  expect(await Promise.all([paced, queued])).toEqual([
    expect.objectContaining({ status: 'timed_out' }),
    expect.objectContaining({ status: 'timed_out' }),
  ]);
  expect(asked()).toBe(1);
  expect(await Promise.race([held, 'still under way'])).toBe('still under way');
});

it('remembers a bounded number of hosts, and forgets the one that was asked longest ago', async () => {
  const { hosts, visit } = world({ maxHosts: 100 });
  await visit('0', asksFor(60_000));
  for (let index = 1; index < 100; index += 1) await visit(String(index));
  expect(await visit('0')).toMatchObject({ status: 'rate_limited' });
  for (let index = 100; index < 10_000; index += 1) {
    await visit(String(index));
    expect(hosts.size).toBeLessThanOrEqual(100);
  }
  expect(await visit('0')).toBe('picture');
});

it('forgets idle hosts, but no host that is to be left alone', async () => {
  const { clock, hosts, visit } = world({ idleMs: 1_000 });
  await visit('paused', asksFor(5_000));
  await visit('idle');
  clock.advance(1_000);
  await visit('new');
  expect(hosts.size).toBe(3);
  clock.advance(4_000);
  await visit('newer');
  expect(hosts.size).toBe(1);
});
