import { MnerError } from '../errors.js';
import type { Priority } from './batch-queue.js';
import { type BatcherOptions, createBatcher } from './batcher.js';
import { type RunBatch, runBisected } from './bisect.js';
import type { NerBundle } from './bundle.js';
import { createFeeds } from './feeds.js';
import type { InferenceHost } from './port.js';
import type { EncodedRow, PictureInput, Row, RowResult } from './row.js';

/** A model of kind `ner`, as one tweet sees it. */
export interface NerModel {
  /** Reads one row, in a batch with others; not once `signal` has aborted, unless it is in a batch by then. @throws MnerError `inference_poison`, `inference_unavailable` */
  read(text: EncodedRow, picture: PictureInput | null, priority?: Priority, signal?: AbortSignal): Promise<RowResult>;
  /** Runs one row alone, past the batches: the first run of a session is slow, and shows whether it works. */
  warmUp(text: EncodedRow): Promise<void>;
  /** Reads what waits, then takes nothing more. The host is its owner's to stop. */
  stop(): Promise<void>;
}

export interface NerModelOptions extends Omit<BatcherOptions<Row, RowResult>, 'run' | 'processes'> {
  /** Started, with the bundle's graph among its models. */
  readonly host: InferenceHost;
  readonly bundle: NerBundle;
  /** Whether `@name` may be an entity: which head of the model answers. */
  readonly mentions: 'ignore' | 'entity';
}

/** @throws MnerError `bad_bundle` when the bundle lists an input that nobody knows */
export function createNerModel({ host, bundle, mentions, ...options }: NerModelOptions): NerModel {
  const { manifest, model } = bundle;
  const feeds = createFeeds(manifest, manifest.heads[mentions].index);
  const run: RunBatch<Row, RowResult> = async (rows, begun) =>
    feeds.split(rows, await host.run(model.name, feeds.pack(rows), begun));
  const batcher = createBatcher<Row, RowResult>({ ...options, run, processes: host.processes ?? 1 });
  return {
    read: (text, picture, priority, signal) => batcher.submit({ text, picture }, text.pieces, priority, signal),
    async warmUp(text) {
      const [result] = await runBisected([{ text, picture: null }], run, options.emit);
      if (result instanceof MnerError) throw result;
    },
    stop: () => batcher.stop(),
  };
}
