import type { Clock, Timer } from '../clock.js';
import { asMnerError, type MnerError } from '../errors.js';
import type { Emit } from '../telemetry/events.js';
import { keyOf } from './partition-key.js';
import type { CommitOffset } from './port.js';
import { persist } from './retry.js';

export interface CommitsOptions {
  readonly commit: (offsets: readonly CommitOffset[]) => Promise<void>;
  readonly clock: Clock;
  readonly emit: Emit;
  /** Commits as soon as this many records were acknowledged since the last commit. */
  readonly everyRecords: number;
  /** Commits this long after the first acknowledged record since the last commit, in milliseconds. */
  readonly everyMs: number;
  readonly failed: (error: MnerError) => void;
}

/** Commits the watermarks of all lanes, one commit at a time, some acknowledged records at once. */
export interface Commits {
  /** The watermark of a partition moved by `records` records. */
  acknowledged(offset: CommitOffset, records: number): void;
  /** Commits what is due now; resolves when nothing is due any more. */
  flush(): Promise<void>;
  /** The partitions are no longer ours under this epoch: what is due is void, and a commit under way counts for nothing. */
  reset(): void;
}

export function createCommits(options: CommitsOptions): Commits {
  const { clock, emit, everyRecords, everyMs, failed } = options;
  let due = new Map<string, CommitOffset>();
  let records = 0;
  let epoch = new AbortController();
  let timer: Timer | undefined;
  let running: Promise<void> | undefined;

  const disarm = (): void => {
    timer?.cancel();
    timer = undefined;
  };

  const commitOnce = async (): Promise<void> => {
    disarm();
    const { signal } = epoch;
    const offsets = [...due.values()];
    due = new Map();
    records = 0;
    const began = clock.now();
    try {
      await persist(() => options.commit(offsets), { clock, signal, stumbled: note });
      emit({ type: 'stage', stage: 'commit', seconds: (clock.now() - began) / 1000 });
    } catch (error) {
      // Of an older epoch: the records are read again, by us or by others, and nothing was lost.
      if (!signal.aborted) failed(asMnerError(error));
    }
  };

  /** One commit at a time. What is acknowledged meanwhile waits for its own time or number, not for the end of this one. */
  const commit = (): Promise<void> => {
    running ??= commitOnce().finally(() => {
      running = undefined;
      plan();
    });
    return running;
  };

  const plan = (): void => {
    if (records >= everyRecords) void commit();
    else if (due.size > 0) timer ??= clock.after(everyMs, ripe);
  };

  /**
   * The timer is forgotten in any case: when a commit is under way this one does nothing, and the plan that follows its end must
   * find none. It once found the timer that had rung, and what was due waited for the next records, however long they took.
   */
  const ripe = (): void => {
    timer = undefined;
    void commit();
  };

  const note = (error: MnerError): void => emit({ type: 'note', level: 'warn', message: error.message });

  const flush = async (): Promise<void> => {
    while (running || due.size > 0) await commit();
  };

  return {
    flush,
    acknowledged(offset, count) {
      due.set(keyOf(offset), offset);
      records += count;
      plan();
    },
    reset() {
      epoch.abort();
      epoch = new AbortController();
      due = new Map();
      records = 0;
      disarm();
    },
  };
}
