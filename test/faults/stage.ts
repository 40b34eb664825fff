import { afterAll, afterEach, beforeAll, onTestFailed } from 'vitest';
import { type FaultCluster, startFaultCluster } from '../support/fault-cluster.js';
import { createLedger, type Ledger, type LedgerOptions } from '../support/ledger.js';
import { type DeliveryMode, type Member, type MemberSettings, startMember } from '../support/member.js';

/** What the tests of one file share: a cluster behind proxies. Each test has a ledger, and members that end with it. */
export interface Stage {
  readonly cluster: FaultCluster;
  play(delivery: DeliveryMode, ledger: { partitions: number } & Partial<LedgerOptions>): Promise<Play>;
}

export interface Play {
  readonly ledger: Ledger;
  /** Starts one behind the proxies; its name is its client id. */
  member(name: string, settings?: Partial<MemberSettings>): Member;
}

/** Call it in the body of a group of tests. */
export function stage(nodes: 1 | 3, properties: Record<string, string> = {}): Stage {
  let cluster: FaultCluster | undefined;
  let members: Member[] = [];
  let ledgers: Ledger[] = [];
  beforeAll(async () => {
    cluster = await startFaultCluster({ nodes, properties });
  }, 120_000);
  afterEach(async () => {
    for (const member of members) member.signal('SIGKILL');
    await Promise.all(members.map(({ exit }) => exit));
    members = [];
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
      onTestFailed(() => console.log(members.map((member) => member.log()).join('\n')));
      const { group, input, output, dead } = ledger;
      return {
        ledger,
        member(name, settings = {}) {
          const member = startMember({ name, brokers: faulty, group, input, output, dead, delivery, ...settings });
          members.push(member);
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
