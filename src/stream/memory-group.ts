import { asMnerError, MnerError } from '../errors.js';
import type { Emit } from '../telemetry/events.js';
import { beginPolicy } from './begin-at.js';
import type { MemoryLog } from './memory.js';
import type { CommitOffset, Consumer, ConsumerHandlers, ConsumerOptions, GroupOffset, TopicPartition } from './port.js';

/** A consumer group of the in-memory broker: its members, who has which partition, and how far they came. */
export interface MemoryGroup {
  member(options: ConsumerOptions): Consumer;
  committed(of: TopicPartition): Pick<GroupOffset, 'committed' | 'metadata'>;
  /** Commits as a transaction does: nobody asks who has the partitions. */
  commit(offsets: readonly CommitOffset[]): void;
  /** Something was written: members that wait for records look again. */
  wake(): void;
}

interface Member {
  readonly options: ConsumerOptions;
  readonly handlers: ConsumerHandlers;
  /** The next offset to fetch of each assigned partition; empty while a rebalance lasts. */
  positions: Map<MemoryLog, bigint>;
  readonly paused: Set<MemoryLog>;
  /** The generation that it has joined. */
  generation: number;
  fetching: boolean;
  /** Woken while it fetched: there may be more than it has seen. */
  again: boolean;
  joined(): void;
}

/**
 * @param topics the broker's topics with their partitions
 * @param beforeCommit called, and waited for, before each commit
 * @param beforeRewind called, and waited for, before a committed offset is read
 * @param emit told of offsets that the log does not have
 */
export function createGroup(
  topics: ReadonlyMap<string, readonly MemoryLog[]>,
  beforeCommit: () => void | Promise<void>,
  beforeRewind: () => void | Promise<void>,
  emit: Emit,
): MemoryGroup {
  const members = new Set<Member>();
  const commits = new Map<MemoryLog, CommitOffset>();
  let generation = 0;

  const logOf = ({ topic, partition }: TopicPartition) => topics.get(topic)?.[partition];

  /** As a broker does it: all are told first, and then, not in the same breath, each learns its partitions. */
  const rebalance = (): void => {
    generation += 1;
    const under = generation;
    for (const member of members) {
      if (member.generation === generation - 1 && member.generation > 0) member.handlers.revoked();
      member.positions = new Map();
      member.paused.clear();
    }
    setImmediate(() => under === generation && assign());
  };

  /** Round robin over the sorted partitions, like kafkajs. */
  const assign = (): void => {
    const names = [...new Set([...members].flatMap(({ options }) => options.topics))].sort();
    const given = new Map<Member, MemoryLog[]>([...members].map((member) => [member, []]));
    for (const topic of names) {
      const takers = [...members].filter(({ options }) => options.topics.includes(topic));
      for (const log of topics.get(topic) ?? []) {
        const taker = takers[log.partition % takers.length];
        if (taker) given.get(taker)?.push(log);
      }
    }
    for (const [member, logs] of given) {
      member.generation = generation;
      try {
        member.positions = new Map(logs.map((log) => [log, startOf(log, member)]));
      } catch (error) {
        member.handlers.failed(asMnerError(error));
      }
      member.handlers.assigned(logs.map(({ topic, partition }) => ({ topic, partition })));
      member.joined();
      void fetch(member);
    }
  };

  /** @throws MnerError `offset_out_of_range` */
  const startOf = (log: MemoryLog, { options: { from = 'earliest', outOfRange = 'earliest' } }: Member): bigint => {
    const { topic, partition, start, end } = log;
    const committed = commits.get(log)?.offset ?? null;
    return beginPolicy({ from, outOfRange, emit }).at(topic, { partition, start, end, committed, metadata: '' });
  };

  /** Hands over what there is, partition by partition, until nothing is left; woken by writes, resumes and joins. */
  const fetch = async (member: Member): Promise<void> => {
    member.again = true;
    if (member.fetching) return;
    member.fetching = true;
    while (member.again && members.has(member)) {
      member.again = false;
      for (const log of [...member.positions.keys()]) {
        const under = member.generation;
        const position = member.positions.get(log);
        if (position === undefined || member.paused.has(log)) continue;
        const records = after(log, position, member.options.maxBytesPerPartition ?? 1_048_576);
        const last = records.at(-1);
        if (!last && position >= log.end) continue;
        member.again = true;
        // The position moves first: whoever is handed these may seek no other way than by leaving the group.
        const next = last ? last.offset + 1n : log.end;
        member.positions.set(log, next);
        if (last) await member.handlers.records(records, log.end);
        if (under !== member.generation) break;
        const { topic, partition } = log;
        member.handlers.reached?.({ topic, partition }, next);
      }
      // Fetches cross a network, so others have their turn in between.
      await new Promise((resolve) => setImmediate(resolve));
    }
    member.fetching = false;
  };

  const wake = (): void => {
    for (const member of members) void fetch(member);
  };

  const commit = async (member: Member | undefined, offsets: readonly CommitOffset[]): Promise<void> => {
    await beforeCommit();
    if (!member || !members.has(member) || member.generation !== generation)
      throw new MnerError('broker_unavailable', 'Cannot commit: this worker is not in its group now.');
    set(offsets);
  };

  const set = (offsets: readonly CommitOffset[]): void => {
    for (const one of offsets) {
      const log = logOf(one);
      if (log) commits.set(log, one);
    }
  };

  return {
    wake,
    commit: set,
    committed(of) {
      const log = logOf(of);
      const found = log && commits.get(log);
      return { committed: found?.offset ?? null, metadata: found?.metadata ?? '' };
    },
    member(options) {
      let member: Member | undefined;
      let stopped = false;
      let release = () => {};
      const held = (partitions: readonly TopicPartition[]) => partitions.flatMap((one) => logOf(one) ?? []);
      return {
        async start(handlers) {
          if (stopped || member) return;
          const missing = options.topics.filter((topic) => !topics.has(topic));
          if (missing.length > 0)
            throw new MnerError('topic_missing', `The input topic ${missing.join(', ')} does not exist.`);
          await new Promise<void>((resolve) => {
            release = resolve;
            const fresh = {
              positions: new Map(),
              paused: new Set<MemoryLog>(),
              generation: 0,
              fetching: false,
              again: false,
            };
            member = { options, handlers, joined: resolve, ...fresh };
            members.add(member);
            rebalance();
          });
        },
        inTouch: () => member !== undefined && members.has(member) && member.generation === generation,
        pause(partitions) {
          for (const log of held(partitions)) member?.paused.add(log);
        },
        resume(partitions) {
          for (const log of held(partitions)) member?.paused.delete(log);
          if (member) void fetch(member);
        },
        commit: (offsets) => commit(member, offsets),
        async rewind(of) {
          const under = member?.generation;
          await beforeRewind();
          const log = logOf(of);
          if (!member || !log || !member.positions.has(log) || member.generation !== under || under !== generation)
            throw new MnerError('broker_unavailable', 'Cannot seek: this worker is not in its group now.');
          const offset = startOf(log, member);
          member.positions.set(log, offset);
          void fetch(member);
          return { offset, committed: commits.has(log) };
        },
        async stop() {
          stopped = true;
          release();
          if (!member || !members.delete(member)) return;
          member.positions = new Map();
          if (members.size > 0) rebalance();
        },
      };
    },
  };
}

/** Records from an offset on: at least one where there is one, and no more than the bytes allow. */
function after(log: MemoryLog, position: bigint, maxBytes: number) {
  const { records } = log;
  // Binary search: a log may be long, and offsets have gaps.
  let low = 0;
  let high = records.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((records[middle]?.offset ?? 0n) < position) low = middle + 1;
    else high = middle;
  }
  let end = low;
  for (let bytes = 0; end < records.length; end += 1) {
    bytes += (records[end]?.value?.length ?? 0) + (records[end]?.key?.length ?? 0);
    if (bytes > maxBytes && end > low) break;
  }
  return records.slice(low, end);
}
