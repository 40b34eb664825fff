/**
 * The process of the bare model: its session, tensors packed ahead, and a loop of calls. No Kafka, no tokeniser, no CRF, nothing
 * that waits. Started by `bare.ts`, and by nothing else.
 */
import { asMnerError } from '../../errors.js';
import { createFeeds } from '../../inference/feeds.js';
import type { Tensors } from '../../inference/port.js';
import { openSessions } from '../../inference/sessions.js';
import type { FromBare, ToBare } from './bare-wire.js';

type Load = Extract<ToBare, { type: 'load' }>;

interface Loaded {
  pack(batch: readonly number[]): Tensors;
  call(feeds: Tensors): Promise<unknown>;
  release(): Promise<void>;
}

let loaded: Loaded | null = null;
let gone = false;
let tail: Promise<void> = Promise.resolve();

process.on('SIGINT', () => {});
process.on('message', (message: ToBare) => {
  tail = tail.then(() => handle(message)).catch(failed);
});
process.on('disconnect', () => {
  gone = true;
  tail = tail.then(async () => {
    await loaded?.release();
    process.exit(0);
  });
});

async function handle(message: ToBare): Promise<void> {
  if (message.type === 'load') return load(message);
  if (!loaded) throw new Error('nothing was loaded');
  const { pack, call } = loaded;
  const feeds = message.plan.map(pack);
  // The first call of a shape sets buffers up.
  if (feeds[0]) await call(feeds[0]);
  const start = performance.now();
  for (let pass = 0; pass < message.passes && !gone; pass++) {
    for (const feed of feeds) {
      if (gone) break;
      await call(feed);
    }
  }
  send({ type: 'ran', seconds: (performance.now() - start) / 1000 });
}

async function load({ model, manifest, settings, rows }: Load): Promise<void> {
  const sessions = await openSessions([model], settings);
  const feeds = createFeeds(manifest, 0);
  loaded = {
    pack: (batch) => feeds.pack(batch.flatMap((row) => rows[row] ?? [])),
    call: (tensors) => sessions.run(model.name, tensors),
    release: sessions.release,
  };
  send({ type: 'loaded', provider: sessions.provider });
}

function failed(error: unknown): void {
  send({ type: 'failed', message: asMnerError(error).message });
}

function send(message: FromBare): void {
  if (process.connected) process.send?.(message, undefined, undefined, () => {});
}
