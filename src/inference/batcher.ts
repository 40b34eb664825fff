import { type Clock, systemClock, type Timer } from '../clock.js';
import { type Deferred, deferred } from '../deferred.js';
import { MnerError } from '../errors.js';
import { type Emit, silent } from '../telemetry/events.js';
import { type Batch, createBatchQueue, type Priority } from './batch-queue.js';
import { type RunBatch, runBisected } from './bisect.js';

export interface BatcherOptions<Item, Result> {
  /** Runs one batch; when it fails as a whole, the row at fault is searched for ({@link runBisected}). */
  readonly run: RunBatch<Item, Result>;
  readonly clock?: Clock;
  readonly emit?: Emit;
  /** Most pieces of a batch, padding included. @default 1024 */
  readonly tokenBudget?: number;
  /** Longest wait for a batch to fill, from the item's arrival, in ms. @default 20 */
  readonly deadlineMs?: number;
  /** Most padding that a batch takes in for the sake of more rows, as a share. @default 0.08 */
  readonly maxPadding?: number;
  /** By so much later than it came an item of a replay counts among the live ones, in ms. @default 5000 */
  readonly patienceMs?: number;
  /** Batches that run at once. As many again wait at the host, so that it never idles. @default 1 */
  readonly processes?: number;
}

export interface Batcher<Item, Result> {
  /**
   * @param pieces the item's length
   * @param priority @default 'live'
   * @param signal once it aborts, nobody waits for the item: if it is in no batch yet, it comes into none
   * @throws MnerError `inference_poison`, `inference_unavailable`
   */
  submit(item: Item, pieces: number, priority?: Priority, signal?: AbortSignal): Promise<Result>;
  /** Items that wait for their batch. */
  readonly queued: number;
  /** Runs whatever waits without further delay, then resolves; nothing may be submitted after it. Safe to call twice. */
  stop(): Promise<void>;
}

interface Entry<Item, Result> {
  readonly item: Item;
  readonly pieces: number;
  readonly signal: AbortSignal | undefined;
  readonly arrived: number;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: MnerError) => void;
}

/** Length-bucketed batches under a budget of pieces and a deadline per item: the driver around {@link createBatchQueue}. */
export function createBatcher<Item, Result>({
  run,
  clock = systemClock,
  emit = silent,
  tokenBudget = 1024,
  deadlineMs = 20,
  maxPadding = 0.08,
  patienceMs = 5000,
  processes = 1,
}: BatcherOptions<Item, Result>): Batcher<Item, Result> {
  const queue = createBatchQueue<Entry<Item, Result>>({ budget: tokenBudget, deadlineMs, maxPadding, patienceMs });
  /** Batches that are out, and those of them that a process has begun: the others wait behind them. */
  let out = 0;
  let begun = 0;
  let timer: Timer | null = null;
  let stopping: Deferred | null = null;

  /** Hands out every batch that may go now, and wakes up when the next one falls due. */
  const pump = () => {
    while (out < 2 * processes) {
      const taken = stopping ? queue.flush() : queue.take(clock.now(), begun < processes ? 'idle' : 'busy');
      if (!taken) break;
      const batch = wanted(taken);
      if (batch.items.length > 0) void dispatch(batch);
      else emit({ type: 'queued', tweets: queue.size });
    }
    if (stopping && out === 0 && queue.size === 0) stopping.resolve();
    // While the host is busy, the end of a batch is what wakes the pump: only an idle one waits for a deadline.
    const due = begun < processes && out < 2 * processes && !stopping ? queue.dueAt() : null;
    if (due === null || timer) return;
    timer = clock.after(Math.max(0, due - clock.now()), () => {
      timer = null;
      pump();
    });
  };

  const dispatch = async (batch: Batch<Entry<Item, Result>>) => {
    out++;
    const handedOut = clock.now();
    /** When the host came to it: until then its rows waited. */
    let began: number | null = null;
    const begin = (at: number) => {
      if (began !== null) return;
      began = at;
      begun++;
      for (const { arrived } of batch.items) emit({ type: 'stage', stage: 'queue', seconds: (at - arrived) / 1000 });
    };
    emit({ type: 'queued', tweets: queue.size });
    const padded = batch.items.length * batch.longest;
    emit({ type: 'batch', tweets: batch.items.length, tokens: batch.pieces, padding: 1 - batch.pieces / padded });
    const results = await runBisected(
      batch.items.map(({ item }) => item),
      (items) => run(items, () => begin(clock.now())),
      emit,
    );
    begin(handedOut);
    emit({ type: 'stage', stage: 'inference', seconds: (clock.now() - (began ?? handedOut)) / 1000 });
    out--;
    begun--;
    // The next batch goes out before anybody works on these results.
    pump();
    batch.items.forEach(({ resolve, reject }, i) => {
      const result = results[i] ?? new MnerError('internal', 'A batch came back with fewer results than items.');
      if (result instanceof MnerError) reject(result);
      else resolve(result);
    });
  };

  return {
    submit(item, pieces, priority, signal) {
      if (stopping) return Promise.reject(new MnerError('inference_unavailable', 'The batcher was stopped.'));
      return new Promise((resolve, reject) => {
        const arrived = clock.now();
        queue.add({ item, pieces, signal, arrived, resolve, reject }, pieces, arrived, priority);
        emit({ type: 'queued', tweets: queue.size });
        pump();
      });
    },
    get queued() {
      return queue.size;
    },
    stop() {
      if (!stopping) {
        stopping = deferred();
        timer?.cancel();
        timer = null;
        pump();
      }
      return stopping.promise;
    },
  };
}

/**
 * A batch without the items that nobody waits for. A rebalance leaves a queue full of them, and read in their turn they would hold up
 * what came after it; where rebalances follow each other more quickly than such a queue is worked off, nothing would get through at all.
 */
function wanted<Item, Result>(batch: Batch<Entry<Item, Result>>): Batch<Entry<Item, Result>> {
  const items = batch.items.filter(({ signal }) => !signal?.aborted);
  if (items.length === batch.items.length) return batch;
  for (const { signal, reject } of batch.items)
    if (signal?.aborted) reject(new MnerError('inference_unavailable', 'Nobody waits for this row any more.'));
  return {
    items,
    pieces: items.reduce((sum, { pieces }) => sum + pieces, 0),
    longest: items.reduce((most, { pieces }) => Math.max(most, pieces), 0),
  };
}
