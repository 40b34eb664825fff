import { afterAll, afterEach, beforeAll, onTestFailed } from 'vitest';
import { type FaultCluster, startFaultCluster } from '../support/fault-cluster.js';
import { createLedger, type Ledger, type LedgerOptions } from '../support/ledger.js';
import { type DeliveryMode, type Member, type MemberSettings, startMember } from '../support/member.js';
import { startWorker, type WorkerProcess } from '../support/worker-process.js';
import { workerEnv } from './tweets.js';

/** What the tests of one file share: a cluster behind proxies. Each test has a ledger, and members that end with it. */
export interface Stage {
  readonly cluster: FaultCluster;
  play(delivery: DeliveryMode, ledger: { partitions: number } & Partial<LedgerOptions>): Promise<Play>;
}

export interface Play {
  readonly ledger: Ledger;
  readonly delivery: DeliveryMode;
  /** Behind the proxies. */
  readonly brokers: readonly string[];
  /** Starts a real worker, `mner run`, behind the proxies, for a ledger of {@link TWEETS}; resolves once it is ready. */
  worker(settings?: Readonly<Record<string, string>>): Promise<WorkerProcess>;
  /** Starts one behind the proxies; its name is its client id. */
  member(name: string, settings?: Partial<MemberSettings>): Member;
}

/** Call it in the body of a group of tests. */
export function stage(nodes: 1 | 3, properties: Record<string, string> = {}): Stage {
  let cluster: FaultCluster | undefined;
  let members: Member[] = [];
  let workers: WorkerProcess[] = [];
  let ledgers: Ledger[] = [];
  beforeAll(async () => {
    cluster = await startFaultCluster({ nodes, properties });
  }, 120_000);
  afterEach(async () => {
    for (const member of members) member.signal('SIGKILL');
    await Promise.all([...members.map(({ exit }) => exit), ...workers.map((worker) => worker.stop('SIGKILL'))]);
    [members, workers] = [[], []];
    cluster?.shape({});
    await Promise.all((cluster?.proxies ?? []).map((proxy) => proxy.become('pass')));
    await Promise.all(ledgers.map((ledger) => ledger.stop()));
    ledgers = [];
  });
  afterAll(async () => {
    await cluster?.stop();
  }, 60_000);
  const there = (): FaultCluster => {
    if (!cluster) throw new Error('The cluster has not started.');
    return cluster;
  };
  return {
    get cluster() {
      return there();
    },
    async play(delivery, options) {
      const { broker, direct, faulty } = there();
      const ledger = await createLedger({ broker, brokers: direct, replicas: nodes, ...options });
      ledgers.push(ledger);
      const own: { log(): string }[] = [];
      onTestFailed(() => {
        console.log(own.map((one) => one.log()).join('\n'));
        for (const node of there().kafka.nodes)
          console.log(`--- broker ${node.id}\n${node.tail().slice(-30).join('\n')}`);
      });
      const { group, input, output, dead } = ledger;
      return {
        ledger,
        delivery,
        brokers: faulty,
        async worker(settings = {}) {
          const worker = await startWorker({ ...workerEnv({ ledger, delivery, brokers: faulty }), ...settings });
          workers.push(worker);
          own.push(worker);
          return worker;
        },
        member(name, settings = {}) {
          const member = startMember({ name, brokers: faulty, group, input, output, dead, delivery, ...settings });
          members.push(member);
          own.push(member);
          return member;
        },
      };
    },
  };
}

export const BOTH: readonly DeliveryMode[] = ['at_least_once', 'exactly_once'];

/** Seconds with one decimal, since `from` by `performance.now()`. */
export function secondsSince(from: number): string {
  return ((performance.now() - from) / 1000).toFixed(1);
}
