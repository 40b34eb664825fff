import { MnerError } from '../errors.js';
import type { MemoryLog } from './memory.js';
import type { CommitOffset, OutputRecord, TopicPartition, TransactionalProducer, TransactionsOptions } from './port.js';

/** Called before each step takes effect, and `ended` after a commit did; what it throws is what the caller gets. */
export interface TransactionWire {
  readonly open?: (id: string) => void | Promise<void>;
  readonly begin?: (id: string) => void | Promise<void>;
  readonly offsets?: (id: string) => void | Promise<void>;
  readonly commit?: (id: string) => void | Promise<void>;
  /** The commit holds, and only its answer is lost. */
  readonly ended?: (id: string) => void | Promise<void>;
}

interface Written {
  readonly to: MemoryLog;
  readonly records: readonly OutputRecord[];
}

export interface TransactionsBackend {
  readonly wire: TransactionWire;
  /** Checks a batch, and gives the log that it is for. @throws MnerError as a send does */
  readonly accept: (to: TopicPartition, records: readonly OutputRecord[]) => Promise<MemoryLog>;
  /** Ends a transaction: what is committed is written at once, so no reader sees a part of it. */
  readonly finish: (
    batches: readonly (Written & { readonly committed: boolean })[],
    commits: readonly { readonly group: string; readonly offsets: readonly CommitOffset[] }[],
  ) => void;
}

/** The transactions of the in-memory broker. Nothing of one is in a log before it is committed. */
export function createTransactions({ wire, accept, finish }: TransactionsBackend) {
  /** How many producers have begun with each transactional id; the last of them is the one that counts. */
  const epochs = new Map<string, number>();
  /** Ends what an older producer of this id left open. */
  const aborts = new Map<string, () => void>();

  return async ({ id }: TransactionsOptions, stopped: () => void): Promise<TransactionalProducer> => {
    await wire.open?.(id);
    let epoch: number | undefined;
    /** `lost`: after a commit or an abort that failed. */
    let state: 'idle' | 'open' | 'lost' | 'stopped' = 'idle';
    let batches: Written[] = [];
    let commits: { group: string; offsets: readonly CommitOffset[] }[] = [];

    const require = (): void => {
      if (epoch !== undefined && epochs.get(id) !== epoch) throw new MnerError('producer_fenced');
      if (state !== 'open') throw new MnerError('broker_unavailable', `The transaction of ${id} is not open.`);
    };

    const end = (committed: boolean): void => {
      const written = batches.map((batch) => ({ ...batch, committed }));
      const offsets = committed ? commits : [];
      batches = [];
      commits = [];
      finish(written, offsets);
    };

    return {
      async begin() {
        // As with Kafka, only the first one asks the broker.
        if (state !== 'idle') throw new MnerError('broker_unavailable', `The transaction of ${id} cannot begin.`);
        if (epoch === undefined) {
          await wire.begin?.(id);
          aborts.get(id)?.();
          epoch = (epochs.get(id) ?? 0) + 1;
          epochs.set(id, epoch);
          aborts.set(id, () => end(false));
        }
        state = 'open';
      },
      async send(to, records) {
        require();
        const log = await accept(to, records);
        require();
        if (records.length > 0) batches.push({ to: log, records });
        await turn();
      },
      async sendOffsets(group, offsets) {
        require();
        await wire.offsets?.(id);
        require();
        commits.push({ group, offsets });
      },
      async commit() {
        require();
        state = 'lost';
        await wire.commit?.(id);
        if (epochs.get(id) !== epoch) throw new MnerError('producer_fenced');
        end(true);
        await wire.ended?.(id);
        state = 'idle';
        await turn();
      },
      async abort() {
        require();
        end(false);
        state = 'idle';
      },
      async stop() {
        state = 'stopped';
        stopped();
      },
    };
  };
}

/** An acknowledgement crosses a network: whoever writes in a loop lets others have their turn. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
