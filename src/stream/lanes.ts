import { type Clock, systemClock, type Timer } from '../clock.js';
import { asMnerError, type MnerError } from '../errors.js';
import { type Emit, silent } from '../telemetry/events.js';
import { createBackPressure } from './back-pressure.js';
import { createCommits } from './commits.js';
import type { Delivery } from './delivery.js';
import { drainInTime } from './drain.js';
import { createHalts } from './halts.js';
import { createHeads } from './heads.js';
import { heldBytes } from './lane.js';
import { reportLane, tell } from './lane-report.js';
import { createOpenLane, newEpoch, type OpenLane } from './open-lane.js';
import { createOpenings } from './openings.js';
import { givenUp, type Process } from './outcome.js';
import { keyOf } from './partition-key.js';
import type { Consumer, InputRecord, TopicPartition } from './port.js';
import { persist } from './retry.js';

export interface LanesOptions {
  readonly consumer: Consumer;
  readonly process: Process;
  readonly delivery: Delivery;
  /** Told once, when nothing sensible can follow; nothing is committed after it. */
  readonly failed: (error: MnerError) => void;
  readonly limits?: LaneLimits;
  /** How long a record must still wait before it may be processed, in milliseconds. @default none waits */
  readonly waitMs?: (record: InputRecord) => number;
  readonly clock?: Clock;
  readonly emit?: Emit;
}

export interface LaneLimits {
  /** Above this, reading pauses: bytes of all records between arrival and acknowledgement. @default 67108864 */
  readonly inflightBytes?: number;
  /** At this, reading goes on. @default half of inflightBytes */
  readonly lowWaterBytes?: number;
  /** A partition whose oldest record has been here for longer is paused, in milliseconds; it goes on at half of that. @default 15000 */
  readonly inflightAgeMs?: number;
  /** Records of one lane that are in process at once, by its topic and the number of lanes. @default 512 */
  readonly laneRecords?: (topic: string, lanes: number) => number;
  /** Outcomes that are written at once; kafkajs's cost grows with the square. @default 512 */
  readonly publishRecords?: number;
  /** Bytes that are written at once; a broker takes about 1 MiB by default. @default 524288 */
  readonly publishBytes?: number;
  /** Acknowledged records after which their offsets are committed at once; of a transaction, finished ones. @default 5000 */
  readonly commitEveryRecords?: number;
  /** The longest that an acknowledged (of a transaction: finished) record waits for its commit, in milliseconds. @default 500 */
  readonly commitEveryMs?: number;
  /** How long a record that fails for now is tried again in place, in milliseconds. @default for ever */
  readonly retryBudgetMs?: number;
  /** How often lag and age are told, in milliseconds. @default 1000 */
  readonly reportEveryMs?: number;
}

/** All lanes of a consumer: one for each partition that the group has given us. */
export interface Lanes {
  /** In the group, whatever it has given us. False before the first assignment, during a rebalance, out of touch with Kafka, and at the end. */
  readonly joined: boolean;
  /** Joins the group; resolves at the first assignment. @throws MnerError `topic_missing` and the wire's codes */
  start(): Promise<void>;
  /**
   * Reads no more; resolves when all that was begun is delivered and committed. Records that arrived and were not begun are
   * left to the next owner, and after half of the time those of whose inference nothing has begun.
   * @throws MnerError `drain_timed_out` after `deadlineMs`
   */
  drain(deadlineMs: number): Promise<void>;
  /** Leaves the group. What is in flight is dropped, and read again by the next owner. */
  stop(): Promise<void>;
}

export function createLanes(options: LanesOptions): Lanes {
  const { consumer, process, delivery, clock = systemClock, emit = silent, limits = {} } = options;
  const { inflightBytes = 64 * 1024 * 1024, lowWaterBytes = inflightBytes / 2, laneRecords = () => 512 } = limits;
  const { commitEveryRecords = 5000, commitEveryMs = 500, reportEveryMs = 1000 } = limits;
  const { inflightAgeMs = 15_000, retryBudgetMs } = limits;

  let open = new Map<string, OpenLane>();
  let epoch = newEpoch();
  /** Partitions of the last assignment; null before the first. */
  let assignment: readonly TopicPartition[] | null = null;
  let joined = false;
  let phase: 'running' | 'draining' | 'stopped' = 'running';
  const dirty = new Set<OpenLane>();
  /** Called when lanes may have become empty. */
  let emptied = () => {};
  let report: Timer | undefined;

  const pressure = createBackPressure({
    consumer,
    lanes: () => [...open.values()],
    reads: () => phase === 'running',
    highBytes: inflightBytes,
    lowBytes: lowWaterBytes,
    maxAgeMs: inflightAgeMs,
    clock,
    emit,
  });

  const halts = createHalts({
    consumer,
    waitMs: options.waitMs ?? (() => 0),
    due: (held) => begin(held),
    over: pressure.enter,
    clock,
    emit,
  });

  const openings = createOpenings({
    delivery,
    clock,
    budgetMs: retryBudgetMs ?? Number.POSITIVE_INFINITY,
    opened: pressure.enter,
    spent: halts.stall,
    mended: halts.flow,
    failed: (error) => fail(error),
  });

  const fail = (error: MnerError): void => {
    if (phase === 'stopped') return;
    phase = 'stopped';
    close();
    options.failed(error);
  };

  const commits = createCommits({
    commit: (offsets) => consumer.commit(offsets),
    everyRecords: commitEveryRecords,
    everyMs: commitEveryMs,
    clock,
    emit,
    failed: fail,
  });

  const heads = createHeads({
    delivery,
    limits: { ...limits, commitEveryRecords, commitEveryMs },
    clock,
    emit,
    hurried: () => phase === 'draining',
    acknowledged(held, batch, delivered) {
      openings.delivered(held);
      halts.flow(held);
      tell(delivered, clock, emit);
      const { lane } = held;
      // Written, but under an epoch that is over: the next owner writes it again, which at least once allows.
      if (lane.state === 'closed') return;
      pressure.release(lane.acknowledge());
      pressure.look(held);
      const { topic, partition } = lane;
      if (delivery.commits === 'lanes')
        commits.acknowledged({ topic, partition, offset: batch.nextOffset }, delivered.length);
      emptied();
    },
    voided: (held, error) => redo(held, error),
    failed: fail,
  });

  /**
   * Ends the epoch. Results that come later find a closed lane, writes are not tried again, and commits that are due are
   * dropped: after a rejoin kafkajs would send them under the new generation, for partitions that may be somebody else's.
   */
  const close = (): void => {
    joined = false;
    epoch.ended.abort();
    epoch.work.abort();
    epoch = newEpoch();
    commits.reset();
    const closing = open;
    open = new Map();
    openings.reset();
    for (const held of closing.values()) shut(held);
    emptied();
  };

  const shut = (held: OpenLane): void => {
    held.ripening?.timer.cancel();
    pressure.release(held.lane.close());
    halts.forget(held);
  };

  const openLane = (of: TopicPartition, reading: boolean): OpenLane => {
    const held = createOpenLane(of, epoch, reading, emit, halts.stall);
    open.set(held.key, held);
    return held;
  };

  const assigned = (partitions: readonly TopicPartition[]): void => {
    close();
    if (phase === 'stopped') return;
    joined = true;
    if (assignment !== null) emit({ type: 'rebalance' });
    for (const { topic, partition } of assignment ?? [])
      if (!partitions.some((one) => one.topic === topic && one.partition === partition))
        emit({ type: 'lane_lost', topic, partition });
    assignment = partitions;
    if (phase === 'draining') {
      consumer.pause(partitions);
      return;
    }
    // In the same breath as the assignment, so that nothing is handed over before its partition is open.
    if (delivery.open) consumer.pause(partitions);
    for (const one of partitions) {
      const held = openLane(one, !delivery.open);
      if (delivery.open) openings.open(held);
    }
    pressure.reset();
  };

  const records = async (arrived: readonly InputRecord[], end: bigint): Promise<void> => {
    const [first] = arrived;
    if (!first || phase !== 'running') return;
    let held = open.get(keyOf(first));
    if (!held?.reading) return;
    const { expected } = held.lane;
    if (expected !== undefined && first.offset < expected) {
      // The log was cut or made anew, and offsets start again: what we hold of the old one can no longer be committed.
      const message = `Offsets of ${held.key} went back to ${first.offset}; what was in flight is dropped.`;
      emit({ type: 'note', level: 'error', message });
      shut(held);
      held = openLane(first, true);
      pressure.enter(held);
    }
    pressure.hold(held.lane.arrive(arrived, end, clock.now()));
    pressure.look(held);
    begin(held);
  };

  /** Begins to process what the lane's limit allows. */
  const begin = (held: OpenLane): void => {
    if (phase === 'draining') return;
    const limit = laneRecords(held.lane.topic, open.size);
    for (const record of held.lane.start(limit, (one) => halts.mayStart(held, one))) void work(held, record);
  };

  const work = async (held: OpenLane, record: InputRecord): Promise<void> => {
    const { lane, work: signal } = held;
    let valid = false;
    try {
      const trying = persist(() => process(record, signal), { clock, signal, budgetMs: retryBudgetMs });
      // What fails once nobody waits for it says nothing about the record.
      const outcome = await trying.catch((error) => {
        if (signal.aborted) throw error;
        return givenUp(error);
      });
      valid = lane.finish(record.offset, outcome);
    } catch (error) {
      if (lane.state !== 'closed') {
        if (!signal.aborted) return fail(asMnerError(error));
        pressure.release(lane.abandon(record.offset));
        emptied();
      }
    }
    // Its lane was closed meanwhile, or has given it up: the memory is free only now.
    if (!valid) return pressure.release(heldBytes(record));
    wake(held);
  };

  /** A batch of inference finishes many records in one turn of the event loop; they are then delivered together. */
  const wake = (held: OpenLane): void => {
    if (dirty.size === 0) setImmediate(settle);
    dirty.add(held);
  };

  const settle = (): void => {
    const lanes = [...dirty];
    dirty.clear();
    for (const held of lanes) {
      begin(held);
      heads.deliver(held);
    }
  };

  /**
   * Drops all that a lane holds, and reads it again from the committed offset, under the same epoch. What is in process comes
   * back to a closed lane.
   */
  const redo = (held: OpenLane, error: MnerError): void => {
    const { lane, key, handle } = held;
    if (lane.state === 'closed') return;
    const { topic, partition } = handle;
    const message = `${error.message} What is in flight is read again.`;
    emit({ type: 'note', level: 'warn', message, detail: { topic, partition } });
    consumer.pause([handle]);
    open.delete(key);
    // A drain leaves the rest to the next owner. Before the old one is shut, so that what it told of itself lasts without a gap.
    if (phase === 'running') openings.again(openLane(handle, false), error);
    shut(held);
    emptied();
  };

  const reportLanes = (): void => {
    for (const held of open.values()) {
      pressure.look(held);
      reportLane(held.lane, clock, emit);
    }
    report = clock.after(reportEveryMs, reportLanes);
  };

  const inFlight = (): number => [...open.values()].reduce((sum, { lane }) => sum + lane.size, 0);

  const drained = async (): Promise<void> => {
    while (inFlight() > 0 && phase === 'draining')
      await new Promise<void>((resolve) => {
        emptied = resolve;
      });
    await commits.flush();
  };

  return {
    get joined() {
      return joined && consumer.inTouch();
    },
    async start() {
      if (phase !== 'running' || report) return;
      report = clock.after(reportEveryMs, reportLanes);
      await consumer.start({ assigned, revoked: close, records, failed: fail });
    },
    async drain(deadlineMs) {
      if (phase !== 'running') return;
      phase = 'draining';
      consumer.pause([...open.values()].map(({ handle }) => handle));
      for (const { lane } of open.values()) pressure.release(lane.dropUnstarted());
      for (const held of open.values()) heads.deliver(held);
      await drainInTime(drained(), { deadlineMs, inFlight, letGo: () => epoch.work.abort(), clock, emit });
    },
    async stop() {
      phase = 'stopped';
      report?.cancel();
      close();
      await consumer.stop();
      // Not to be torn from the producer in the middle of a write; they give up at the first failure now.
      await Promise.all([heads.settled(), openings.settled()]);
    },
  };
}
