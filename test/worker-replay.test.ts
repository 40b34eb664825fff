import { expect, it } from 'vitest';
import { loadConfig } from '#mner/config/load.js';
import { memoryCache } from '#mner/image/cache/memory.js';
import { memoryOrigin } from '#mner/image/fetch/memory.js';
import { createLocalHost } from '#mner/inference/host-local.js';
import type { InferenceHost } from '#mner/inference/port.js';
import { loadModels } from '#mner/models.js';
import { memoryBroker } from '#mner/stream/memory.js';
import type { Event } from '#mner/telemetry/events.js';
import { createTelemetry } from '#mner/telemetry/telemetry.js';
import { startWorker } from '#mner/worker.js';
import { TINY } from './support/servers.js';

const HOUR_MS = '3600000';

/** Every tweet is one row of 60 pieces, so that four make a batch of 256 tokens. */
const tweet = (id: string) => Buffer.from(JSON.stringify({ id, text: `${'x'.repeat(120)} `.repeat(58) }));

/** A signal that can be waited for. */
function flag() {
  let raise = () => {};
  const raised = new Promise<void>((resolve) => {
    raise = resolve;
  });
  return { raise, raised };
}

/**
 * A replay fills the queue of a worker whose model stands still; then live tweets come, and the model goes on.
 *
 * @returns ids in the order of their outputs
 */
async function play(patienceMs: string): Promise<string[]> {
  const { config } = loadConfig({
    env: { ...TINY, MNER_BATCH_TOKENS: '256', MNER_REPLAY_TOPIC: 'old', MNER_REPLAY_PATIENCE_MS: patienceMs },
    flags: { repeat_cache_bytes: 0 },
  });
  const local = createLocalHost({ models: (await loadModels(config)).hosted, threads: 1 });
  const gate = flag();
  let standing = false;
  const host: InferenceHost = {
    start: () => local.start(),
    provider: 'cpu',
    run: async (model, feeds) => {
      if (standing) await gate.raised;
      return local.run(model, feeds);
    },
    stop: () => local.stop(),
  };
  const broker = memoryBroker();
  for (const topic of [config.input_topic, 'old', config.output_topic, config.dead_letter_topic])
    await broker.createTopics([{ topic, partitions: 2 }]);
  let encoded = 0;
  let wanted = { count: Number.POSITIVE_INFINITY, reached: () => {} };
  const until = (count: number) =>
    new Promise<void>((resolve) => {
      wanted = { count, reached: resolve };
    });
  const emit = (event: Event) => {
    if (event.type === 'stage' && event.stage === 'tokenize' && ++encoded === wanted.count) wanted.reached();
  };
  const telemetry = { ...createTelemetry({ log: { level: 'silent' }, nodeMetrics: false }), emit };
  const worker = await startWorker(config, telemetry, { broker, cache: memoryCache(), origin: memoryOrigin(), host });
  try {
    standing = true;
    // Of each partition of a replay 16 are in work at once.
    const replayed = until(32);
    for (let i = 0; i < 40; i++) broker.append('old', { partition: i % 2, value: tweet(`old ${i}`) });
    await replayed;
    const live = until(36);
    for (let i = 0; i < 4; i++) broker.append(config.input_topic, { partition: i % 2, value: tweet(`live ${i}`) });
    await live;
    const ids: string[] = [];
    const all = new Promise<void>((resolve) => {
      broker.onAppend(config.output_topic, (records) => {
        for (const { value } of records) ids.push(JSON.parse(String(value)).tweet_id);
        if (ids.length === 44) resolve();
      });
    });
    gate.raise();
    await all;
    return ids;
  } finally {
    await worker.stop();
  }
}

const places = (ids: readonly string[]) => ids.flatMap((id, place) => (id.startsWith('live') ? [place] : []));

it('a live tweet overtakes a replay that was there before: it waits only for the two batches that are out', async () => {
  const ids = await play(HOUR_MS);
  // At most four to a batch, so at most eight of the replay; then the live ones, in the order in which their lanes write.
  expect(Math.max(...places(ids))).toBeLessThanOrEqual(11);
});

it('a replay without patience is read in the order of arrival, as if it were live', async () => {
  const ids = await play('0');
  expect(Math.min(...places(ids))).toBeGreaterThanOrEqual(32);
});
