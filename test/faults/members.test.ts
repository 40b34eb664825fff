import type { Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { OutputRecord } from '#mner/stream/port.js';
import { answer, evilServer } from '../image/evil-server.js';
import { commitsOf } from '../support/commits.js';
import { errorCode } from '../support/kafka-faults.js';
import { given, type Member } from '../support/member.js';
import { LONG, seen } from '../support/seen.js';
import { eventually, tweet } from '../support/worker-stage.js';
import { BOTH, secondsSince, stage } from './stage.js';
import { TWEETS } from './tweets.js';

const SESSION_S = 4;

describe('members of a group that come, go, die and freeze, on three brokers', { timeout: 180_000 }, () => {
  const on = stage(3);

  it.for(BOTH)(
    'fault 1: killed with -9 in the middle of its work, its partitions move: %s',
    async (delivery, { task }) => {
      const { ledger, member } = await on.play(delivery, { partitions: 4 });
      const [one, two] = [member('one'), member('two')];
      await shared(one, two);
      await ledger.feed(200);
      await ledger.progress(5);
      // What is in process stays there, so the kill comes in its midst.
      await one.work('hold');
      await ledger.feed(200);
      await one.says(({ type }) => type === 'held');
      const from = two.said.length;
      one.signal('SIGKILL');
      const killed = performance.now();
      const { at } = await two.says(given(4), from);
      const after = (at - killed) / 1000;
      expect(ledger.seen).toBeLessThan(4 * ledger.fed);
      expect(after).toBeLessThan(SESSION_S + 16);
      const { text } = await ledger.verify(delivery);
      two.signal('SIGTERM');
      expect(await two.exit).toBe(0);
      seen(task, `${delivery}: its partitions moved after ${after.toFixed(1)} s (session ${SESSION_S} s); ${text}`);
    },
  );

  it.runIf(LONG).for(BOTH)(
    'fault 4: frozen beyond its session, it wakes up as a stranger: %s',
    async (delivery, { task }) => {
      const { ledger, member } = await on.play(delivery, { partitions: 4 });
      const [one, two] = [member('one'), member('two')];
      await shared(one, two);
      await ledger.feed(400);
      await ledger.progress(5);
      // It freezes in the middle of a commit, which reaches the broker only once another has taken over.
      const api = delivery === 'exactly_once' ? 'EndTxn' : 'OffsetCommit';
      const commit = on.cluster.faults.hold({ api, side: 'request', client: 'one' });
      await commit.caught;
      one.signal('SIGSTOP');
      await two.says(given(4), two.said.length);
      // What it may still write has then been written by the other: order, at least once, rests on that.
      await ledger.all();
      const committed = async () =>
        (await on.cluster.broker.offsets(ledger.input, ledger.group)).map((one) => one.committed ?? 0n);
      const before = await committed();
      const from = one.said.length;
      const answer = on.cluster.faults.hold({ api, side: 'response', client: 'one' });
      commit.release();
      const refused = errorCode(await answer.caught);
      expect(refused).not.toBe(0);
      answer.release();
      one.signal('SIGCONT');
      await one.says(({ type }) => type === 'rebalance', from);
      const { text } = await ledger.verify(delivery);
      const after = await committed();
      expect(after.every((offset, partition) => offset >= (before[partition] as bigint))).toBe(true);
      if (delivery === 'exactly_once')
        expect(one.said.slice(from).find(({ type }) => type === 'transaction')?.result).not.toBe('committed');
      seen(task, `${delivery}: its commit refused (code ${refused}), joined anew; ${text}`);
    },
  );

  it.for(BOTH)(
    'fault 10: told to stop twice, a real worker leaves at once, and the next does the rest: %s',
    async (delivery, { task }) => {
      // Every tenth tweet has a picture, and while the gate is shut their origin answers nobody: lanes cannot come to their ends.
      const waiting = new Set<Socket>();
      let open = false;
      const tell = (socket: Socket) => socket.end(answer('404 Not Found'));
      const origin = await evilServer((_path, socket) => (open ? tell(socket) : waiting.add(socket)));
      onTestFinished(() => origin.stop());
      const { ledger, worker } = await on.play(delivery, {
        partitions: 2,
        ...TWEETS,
        record: (id) => (id.endsWith('3') ? pictured(id, `http://${origin.host}/${id}.jpg`) : TWEETS.record(id)),
      });
      const patient = {
        MNER_IMAGE_ALLOW: origin.host,
        MNER_IMAGE_BUDGET_MS: '60000',
        MNER_IMAGE_FETCH_TIMEOUT_MS: '60000',
        MNER_SESSION_TIMEOUT_MS: '10000',
        MNER_DRAIN_TIMEOUT_MS: '9000',
      };
      const first = await worker(patient);
      await ledger.feed(100);
      await origin.asked(1);
      // Those before the first picture are out.
      await ledger.progress(3);
      const out = ledger.seen;
      expect(out).toBe(2 * 3);
      void first.stop('SIGTERM');
      await eventually(() => first.log().includes('Draining'));
      const told = performance.now();
      // It would wait for the gate, and end with another code.
      expect(await first.stop('SIGTERM')).toBe(143);
      const left = secondsSince(told);
      await ledger.nothingCommittedUnprocessed();
      expect(ledger.seen).toBe(out);
      open = true;
      for (const socket of waiting) tell(socket);
      await worker(patient);
      const { text } = await ledger.verify(delivery);
      seen(task, `${delivery}: exit 143 after ${left} s with ${2 * 100 - out} left to the next; ${text}`);
    },
  );

  it.for(BOTH)(
    'fault 12: what is in process when its partition moves is dropped, the new owner does it: %s',
    async (delivery, { task }) => {
      const { ledger, member } = await on.play(delivery, { partitions: 2 });
      const one = member('one');
      await one.says(({ type }) => type === 'joined');
      await one.work('hold');
      await ledger.feed(10);
      await one.says(({ type }) => type === 'held');
      const from = one.said.length;
      const two = member('two');
      const { partition: moved } = await one.says(({ type }) => type === 'lane_lost', from);
      await two.says(({ type }) => type === 'working');
      await one.work('go');
      const { text } = await ledger.verify(delivery);
      const makers = ledger
        .outcomes()
        .filter(({ topic, partition }) => topic === ledger.output && partition === moved)
        .map(({ record }) => String(record.headers.find(([name]) => name === 'made-by')?.[1]));
      expect(new Set(makers)).toEqual(new Set(['two']));
      seen(task, `${delivery}: all ${makers.length} of the moved partition made by the new owner; ${text}`);
    },
  );

  it.runIf(LONG).for(BOTH)(
    'fault 11: one, four, two, then three members over twelve partitions: %s',
    async (delivery, { task }) => {
      const { ledger, member } = await on.play(delivery, { partitions: 12 });
      await ledger.feed(300);
      const all: Member[] = [member('a')];
      await ledger.progress(5);
      all.push(member('b'), member('c'), member('d'));
      await Promise.all(all.map((one) => one.says(given(3))));
      await ledger.progress(15);
      await ledger.nothingCommittedUnprocessed();
      for (const one of all.slice(0, 2)) one.signal('SIGTERM');
      expect(await Promise.all(all.slice(0, 2).map(({ exit }) => exit))).toEqual([0, 0]);
      await ledger.progress(15);
      await ledger.nothingCommittedUnprocessed();
      all.push(member('e'));
      await all[4]?.says(given(4));
      const { ids, text } = await ledger.verify(delivery);
      const moves = all.flatMap(({ said }) => said.filter(({ type }) => type === 'rebalance')).length;
      expect(ids).toBe(12 * 301);
      // A commit on a lane that was revoked stands behind those of its new owner, and is lower.
      const commits = await commitsOf(on.cluster.broker, ledger);
      expect(commits.size).toBe(12);
      for (const [partition, offsets] of commits)
        expect(offsets, `commits of ${partition}`).toEqual([...offsets].sort((a, b) => a - b));
      const made = [...commits.values()].flat().length;
      seen(task, `${delivery}: ${moves} rebalances, ${made} commits, none below one before it; ${text}`);
    },
  );
});

/** Waits until the two share four partitions. */
async function shared(...members: readonly Member[]): Promise<void> {
  await Promise.all(members.map((member) => member.says(given(2))));
}

function pictured(id: string, url: string): OutputRecord {
  const value = tweet(id, 'Kobe Bryant in Oslo', { media: [{ type: 'photo', url }] });
  return { key: Buffer.from(id), value: Buffer.from(value), headers: [] };
}
