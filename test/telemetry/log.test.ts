import { expect, test } from 'vitest';
import { manualClock } from '#mner/clock.js';
import { MnerError } from '#mner/errors.js';
import type { Event } from '#mner/telemetry/events.js';
import { createLog, type LogOptions } from '#mner/telemetry/log.js';

function open(options: LogOptions = {}) {
  const lines: string[] = [];
  const clock = manualClock(Date.UTC(2024, 0, 2, 3, 4, 5));
  const log = createLog({ clock, write: (line) => lines.push(line), ...options });
  return { lines, clock, log, entries: () => lines.map((line) => JSON.parse(line) as Record<string, unknown>) };
}

function note(message: string, detail?: object): Event {
  return detail ? { type: 'note', level: 'info', message, detail } : { type: 'note', level: 'info', message };
}

test('a note is one line of JSON, with its time in UTC', () => {
  const { log, lines, entries } = open();
  log.listener(note('The worker is ready.', { partitions: 3 }));
  expect(lines[0]).toMatch(/^\{.*\}\n$/);
  expect(entries()).toEqual([
    { level: 'info', time: '2024-01-02T03:04:05.000Z', detail: { partitions: 3 }, msg: 'The worker is ready.' },
  ]);
});

test('levels below the chosen one are left out', () => {
  const { log, lines } = open({ level: 'warn' });
  log.listener(note('x'));
  log.listener({ type: 'note', level: 'error', message: 'y' });
  expect(lines).toHaveLength(1);
});

test('events that are only counted write nothing', () => {
  const { log, lines } = open({ level: 'debug' });
  log.listener({ type: 'tweet', outcome: 'output' });
  log.listener({ type: 'stage', stage: 'crf', seconds: 1 });
  log.listener({ type: 'transaction', result: 'committed' });
  expect(lines).toEqual([]);
});

test.each<[Event, Record<string, unknown>]>([
  [
    { type: 'degraded', reason: 'cache', on: true },
    { level: 'warn', reason: 'cache' },
  ],
  [
    { type: 'degraded', reason: 'cache', on: false },
    { level: 'info', reason: 'cache' },
  ],
  [{ type: 'inference_restart' }, { level: 'warn' }],
  [{ type: 'rebalance' }, { level: 'info' }],
  [
    { type: 'model', bundle: 'ham', version: '1', provider: 'cpu' },
    { level: 'info', bundle: 'ham', provider: 'cpu' },
  ],
  [
    { type: 'transaction', result: 'aborted' },
    { level: 'warn', result: 'aborted' },
  ],
])('%o is written', (event, expected) => {
  const { log, entries } = open();
  log.listener(event);
  expect(entries()).toEqual([expect.objectContaining({ event: event.type, ...expected })]);
});

test('a flood of dead letters is two lines per code in ten seconds', () => {
  const { log, clock, entries } = open();
  for (let i = 0; i < 1000; i++) log.listener({ type: 'dead_letter', code: 'bad_json' });
  log.listener({ type: 'dead_letter', code: 'no_id' });
  clock.advance(10_000);
  expect(entries().map(({ code, count }) => [code, count])).toEqual([
    ['bad_json', 1],
    ['no_id', 1],
    ['bad_json', 999],
  ]);
});

test('what is held back is written at the end, and stop is safe twice', () => {
  const { log, entries } = open();
  for (let i = 0; i < 3; i++) log.listener({ type: 'dead_letter', code: 'bad_json' });
  log.stop();
  log.stop();
  expect(entries().map(({ count }) => count)).toEqual([1, 2]);
});

test('no query, fragment, user or password of a URL, no text of a tweet and no secret enters a line', () => {
  const { log, lines } = open();
  log.listener(
    note('GET https://u:hunter2@host/a.jpg?sig=hunter2#hunter2 failed', {
      url: 'redis://:hunter2@cache:6379/0',
      text: 'hunter2',
      nested: { kafka_sasl_password: 'hunter2', list: ['http://x/?q=hunter2'], bytes: Buffer.from('hunter2') },
      error: new MnerError('broker_unavailable', 'http://x/?q=hunter2'),
      tokens: 12,
    }),
  );
  expect(lines.join('')).not.toContain('hunter2');
  expect(JSON.parse(lines[0]!)).toMatchObject({
    msg: 'GET https://host/a.jpg?… failed',
    detail: {
      url: 'redis://cache:6379/0',
      text: '***',
      nested: { kafka_sasl_password: '***', list: ['http://x/?…'], bytes: '7 bytes' },
      error: { code: 'broker_unavailable', class: 'retryable', message: 'http://x/?…' },
      tokens: 12,
    },
  });
});

test('a detail that is deep or its own parent does not hold up the log', () => {
  const { log, lines } = open();
  const ring: Record<string, unknown> = {};
  ring.ring = ring;
  log.listener(note('x', ring));
  expect(lines).toHaveLength(1);
});

test('the form for people is one line with time, level and message', () => {
  const { log, lines } = open({ format: 'pretty' });
  log.listener(note('The worker is ready.', { partitions: 3 }));
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(/^\[\d\d:\d\d:\d\d\] INFO: The worker is ready\. .*"partitions":3.*\n$/);
});
