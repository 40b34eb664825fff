import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { childrenOf, commandOf } from '../cli/processes.js';
import type { Arena } from './arena.js';
import type { Seat } from './fleet.js';
import { type Fault, type FaultKind, type Hand, inWords, planOf, VICTIMS } from './plan.js';

export interface HandsOptions {
  readonly arena: Arena;
  /** Those that may be hurt. */
  readonly victims: readonly Seat[];
  readonly guest: Seat;
  readonly seed: number;
  readonly say: (line: string) => void;
}

/** Breaks things as planned, until it is told to stop. */
export interface Hands {
  /** Faults that struck, by kind. */
  readonly struck: ReadonlyMap<FaultKind, number>;
  /** Answers to the end of a transaction that were lost. */
  readonly lostCommits: number;
  /** Begins no further fault; resolves when all that was broken is whole again. */
  stop(): Promise<void>;
}

export function startHands({ arena, victims, guest, seed, say }: HandsOptions): Hands {
  const struck = new Map<FaultKind, number>();
  const over = new AbortController();
  const { kafka, proxies, faults, shape } = arena.cluster;
  let lost = 0;

  const work = async (hand: Hand): Promise<void> => {
    for (const { quietMs, fault } of planOf(seed, hand)) {
      await sleep(quietMs, undefined, { signal: over.signal }).catch(() => {});
      if (over.signal.aborted) return;
      say(`fault: ${inWords(fault)}`);
      const began = performance.now();
      await strike(fault);
      struck.set(fault.kind, (struck.get(fault.kind) ?? 0) + 1);
      say(`  over: ${fault.kind} after ${((performance.now() - began) / 1000).toFixed(1)} s`);
    }
  };

  const strike = async (fault: Fault): Promise<void> => {
    switch (fault.kind) {
      case 'kill_worker':
      case 'drain_worker': {
        const seat = victims[fault.worker % VICTIMS] as Seat;
        await seat.end(fault.kind === 'kill_worker' ? 'SIGKILL' : 'SIGTERM');
        await sleep(fault.downMs);
        return seat.fill();
      }
      case 'freeze_worker': {
        const seat = victims[fault.worker % VICTIMS] as Seat;
        seat.signal('SIGSTOP');
        await sleep(fault.forMs);
        return seat.signal('SIGCONT');
      }
      case 'guest_worker':
        await guest.fill();
        await sleep(fault.forMs);
        return void (await guest.end('SIGTERM'));
      case 'kill_inference': {
        const pid = victims[fault.worker % VICTIMS]?.worker?.pid;
        for (const child of pid === undefined ? [] : childrenOf(pid))
          if (commandOf(child).includes('host-child')) process.kill(child, 'SIGKILL');
        return;
      }
      case 'kill_broker':
      case 'restart_broker': {
        const node = kafka.nodes[fault.broker];
        if (fault.kind === 'kill_broker') node?.signal('SIGKILL');
        else await node?.stop();
        await sleep(fault.downMs);
        await node?.restart();
        return arena.inSync();
      }
      case 'cut_connections':
        for (let time = 0; time < fault.times; time += 1) {
          for (const proxy of proxies) proxy.cut();
          await sleep(700);
        }
        return;
      case 'slow_connections':
        shape({ latencyMs: fault.latencyMs });
        await sleep(fault.forMs);
        return shape({});
      case 'half_open': {
        const proxy = proxies[fault.broker];
        await proxy?.become('hang');
        await sleep(fault.forMs);
        await proxy?.become('pass');
        return proxy?.cut();
      }
      case 'lose_commits':
        return loseCommits(fault.forMs);
      case 'kill_redis':
        arena.redis.signal('SIGKILL');
        await sleep(fault.forMs);
        return arena.redis.restart();
      case 'hang_redis':
        arena.redis.signal('SIGSTOP');
        await sleep(fault.forMs);
        return arena.redis.signal('SIGCONT');
      case 'flush_redis': {
        const redis = new Redis(arena.redis.url);
        await redis.flushall();
        return redis.disconnect();
      }
      case 'origin':
        arena.origin.become(fault.how);
        await sleep(fault.forMs);
        return arena.origin.become('well');
    }
  };

  /** One answer after the other is lost, each with its connection. */
  const loseCommits = async (forMs: number): Promise<void> => {
    const end = sleep(forMs);
    for (let over = false; !over; ) {
      const trap = faults.cut({ api: 'EndTxn', side: 'response' });
      over = await Promise.race([trap.caught.then(() => false), end.then(() => true)]);
      if (over) trap.release();
      else lost += 1;
    }
  };

  const working = Promise.all([work('workers'), work('world')]);
  return {
    struck,
    get lostCommits() {
      return lost;
    },
    async stop() {
      over.abort();
      await working;
    },
  };
}
