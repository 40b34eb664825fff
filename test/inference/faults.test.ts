import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it } from 'vitest';
import { loadConfig } from '#mner/config/load.js';
import { memoryCache } from '#mner/image/cache/memory.js';
import { createProcessHost, type ProcessHost, type ProcessHostOptions } from '#mner/inference/host-process.js';
import { hostOptions, loadModels } from '#mner/models.js';
import type { EntityRecord } from '#mner/ner/record.js';
import type { Outcome } from '#mner/stream/outcome.js';
import type { Event } from '#mner/telemetry/events.js';
import { createTelemetry } from '#mner/telemetry/telemetry.js';
import { openStations, type Stations } from '#mner/worker.js';
import { record } from '../stream/records.js';
import { seen } from '../support/seen.js';
import { FAULTY, TINY } from '../support/servers.js';

/** Runs the real inference process, which kills itself when it meets the piece of the word `poison`. */
const DEADLY = 'test/inference/programs/deadly.mjs';

describe('tweets that spoil a batch, with real sessions in a real process', () => {
  let stations: Stations | undefined;
  afterEach(() => stations?.stop());

  /** The stations of the pipeline on a bundle, with its process and the batches that it is asked to run. */
  async function open(
    bundle: Record<string, string>,
    options: Partial<ProcessHostOptions> = {},
    env: Record<string, string> = {},
  ) {
    const { config } = loadConfig({
      env: {
        ...bundle,
        MNER_REDIS_URL: 'none',
        MNER_REPEAT_CACHE_BYTES: '0',
        MNER_BATCH_DEADLINE_MS: '300',
        ...env,
      },
    });
    const events: Event[] = [];
    const emit = (event: Event) => void events.push(event);
    const models = await loadModels(config);
    const host = createProcessHost({ ...hostOptions(config), models: models.hosted, emit, backOffMs: 1, ...options });
    /** Rows of each batch. */
    const batches: number[] = [];
    const counted: ProcessHost = {
      ...host,
      get provider() {
        return host.provider;
      },
      get pid() {
        return host.pid;
      },
      run: (model, feeds) => {
        batches.push(feeds.input_ids?.dims[0] ?? 0);
        return host.run(model, feeds);
      },
    };
    const telemetry = { ...createTelemetry({ log: { level: 'silent' }, nodeMetrics: false }), emit };
    const opened = await openStations(config, telemetry, { cache: memoryCache(), host: counted });
    stations = opened;
    // The batches begin after the warm-up.
    batches.length = 0;
    const read = (texts: readonly string[]) =>
      Promise.all(
        texts.map((text, i) => {
          const value = Buffer.from(JSON.stringify({ id: String(i), text }));
          return opened.process(record(i, { value }), new AbortController().signal);
        }),
      );
    return { host, read, batches, events };
  }

  const codes = (outcomes: readonly Outcome[]) =>
    outcomes.map((outcome) => (outcome.kind === 'dead_letter' ? outcome.error.code : 'ok'));
  const records = (outcomes: readonly Outcome[]): EntityRecord[] =>
    outcomes.map((outcome) => JSON.parse(String(outcome.kind === 'output' && outcome.value)));
  const entitiesOf = (outcomes: readonly Outcome[]) =>
    outcomes.map((outcome) => outcome.kind === 'output' && JSON.parse(String(outcome.value)).entities);
  const others = (poison: number) =>
    Array.from({ length: 64 }, (_, row) => (row === poison ? 'inference_poison' : 'ok'));
  /** 64 tweets of one length, of which one holds a word that the model stumbles over. */
  const tweets = (row: number, word: string) =>
    Array.from({ length: 64 }, (_, i) => `Anna met ${i === row ? word : 'Ben'} in Oslo today`);

  it('fault 25: one poison row makes a batch of 64 throw: at most 15 runs, and only that row is a dead letter', async ({
    task,
  }) => {
    const { read, batches } = await open(FAULTY);
    const outcomes = await read(tweets(41, 'poison'));
    expect(codes(outcomes)).toEqual(others(41));
    expect(Math.max(...batches)).toBe(64);
    expect(batches.length).toBeLessThanOrEqual(15);
    const [ben] = entitiesOf(outcomes);
    expect(entitiesOf(outcomes).filter((_, row) => row !== 41)).toEqual(Array(63).fill(ben));
    seen(task, `64 rows, ${batches.length} runs, 1 dead letter, 63 outputs`);
  });

  it.each(['nan', 'inf'])(
    'fault 27: %s in the emissions of a row: that row is poison, in one run of the batch',
    async (word) => {
      const { read, batches } = await open(FAULTY);
      expect(codes(await read(tweets(7, word)))).toEqual(others(7));
      expect(batches).toEqual([64]);
    },
  );

  it('fault 28: a row that kills the process: started anew, tried again, cut in halves, 63 outputs', async ({
    task,
  }) => {
    const { read, batches, events } = await open(FAULTY, { program: DEADLY });
    expect(codes(await read(tweets(20, 'poison')))).toEqual(others(20));
    const deaths = events.filter(({ type }) => type === 'inference_restart').length;
    expect(batches.length).toBeLessThanOrEqual(15);
    expect(deaths).toBeGreaterThan(2);
    expect(deaths).toBeLessThanOrEqual(9);
    seen(task, `64 rows, ${batches.length} runs, ${deaths} processes killed, 1 dead letter, 63 outputs`);
  });

  it('fault 28: the process killed with -9 mid-batch, as the out-of-memory killer does: no row is to blame', async ({
    task,
  }) => {
    const { host, read, batches, events } = await open(TINY);
    const pid = host.pid as number;
    // It stands still until it dies, or it might have answered before.
    process.kill(pid, 'SIGSTOP');
    const reading = read(tweets(-1, ''));
    await until(() => batches.length > 0);
    process.kill(pid, 'SIGKILL');
    expect(codes(await reading)).toEqual(others(-1));
    expect(events.filter(({ type }) => type === 'inference_restart')).toHaveLength(1);
    expect(host.pid).not.toBe(pid);
    seen(task, `1 process killed with a batch of ${batches[0]} in it, 64 of 64 outputs in ${batches.length} runs`);
  });

  it('fault 28: a batch too large for the memory that the process may take is read in halves', async ({ task }) => {
    const { host, read, batches } = await open(TINY, {}, { MNER_BATCH_TOKENS: '65536' });
    await limitMemory(host.pid as number, 24);
    const long = 'Anna met Ben in Oslo today and they went to Paris '.repeat(15);
    const outcomes = await read(Array.from({ length: 64 }, () => long));
    expect(codes(outcomes)).toEqual(others(-1));
    expect(batches.length).toBeGreaterThan(1);
    seen(task, `${batches.length} runs of up to ${Math.max(...batches)} rows, no dead letter`);
  });

  it('one tweet of 512 pieces among short ones is read in windows, and holds nobody up', async () => {
    const { read, batches } = await open(TINY);
    const long = Array.from({ length: 510 }, (_, i) => String(i % 10)).join(' ');
    const short = Array.from({ length: 40 }, () => 'Anna met Ben in Oslo');
    const [first, ...rest] = records(await read([long, ...short]));
    expect(first?.windows).toBeGreaterThanOrEqual(2);
    expect(rest.every((one) => one.windows === undefined)).toBe(true);
    // No short tweet was padded to the long one's length.
    expect(Math.max(...batches)).toBe(40);
  });

  it('a text longer than the window is read to its end: what stands there is found as in a short one', async () => {
    const { read } = await open(FAULTY);
    const filler = Array.from({ length: 600 }, (_, i) => String(i % 10)).join(' ');
    const last = 'Anna met Ben';
    const [long] = records(await read([`${filler} ${last}`]));
    const [short] = records(await read([`9 ${last}`]));
    const shift = filler.length + 1 - 2;
    const tail = short?.entities.map(({ type, text, start, end }) => ({
      type,
      text,
      start: start + shift,
      end: end + shift,
    }));
    expect(tail?.length).toBeGreaterThan(0);
    expect(long?.entities).toMatchObject(
      expect.arrayContaining((tail ?? []).map((entity) => expect.objectContaining(entity))),
    );
    expect(long?.windows).toBeGreaterThanOrEqual(3);
  });

  it('a text longer than the window with a poison word in one of its windows is one dead letter', async () => {
    const { read } = await open(FAULTY);
    const filler = Array.from({ length: 600 }, (_, i) => String(i % 10)).join(' ');
    expect(codes(await read([`${filler} nan`, 'Anna met Ben']))).toEqual(['inference_poison', 'ok']);
  });
});

/** Asks again at every turn of the event loop. */
async function until(done: () => boolean): Promise<void> {
  while (!done()) await new Promise((resolve) => setImmediate(resolve));
}

/** Lets a process take so many MB more than it has mapped now, and no more (RLIMIT_AS). */
async function limitMemory(pid: number, moreMb: number): Promise<void> {
  const mapped = Number(/^VmSize:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
  await promisify(execFile)('prlimit', ['--pid', String(pid), `--as=${mapped + moreMb * 1024 * 1024}`]);
}
