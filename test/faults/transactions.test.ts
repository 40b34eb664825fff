import { describe, expect, it } from 'vitest';
import { transactionalId } from '#mner/stream/exactly-once.js';
import { errorCode, FENCED } from '../support/kafka-faults.js';
import { readWithKcat } from '../support/ledger.js';
import { note, transaction } from '../support/member.js';
import { LONG, seen } from '../support/seen.js';
import { secondsSince, stage } from './stage.js';

/** On three brokers: duplicates inside a committed transaction never show on one. */
describe('a transaction that is interrupted, on three brokers', { timeout: 60_000 }, () => {
  // Looks every half second, not every ten, whether a transaction is too old.
  const on = stage(3, { 'transaction.abort.timed.out.transaction.cleanup.interval.ms': '500' });

  it('fault 2: killed with its records written: none of them is visible, the next worker does them', async ({
    task,
  }) => {
    const { ledger, member } = await on.play('exactly_once', { partitions: 2 });
    await ledger.feed(200);
    const first = member('first');
    await first.says(transaction('committed'));
    const written = on.cluster.faults.hold({ api: 'Produce', side: 'response', client: 'first' });
    await written.caught;
    first.signal('SIGKILL');
    await first.exit;
    const killed = performance.now();
    written.release();
    const all = await readWithKcat(on.cluster.direct, [ledger.output], 'read_uncommitted');
    const visible = await readWithKcat(on.cluster.direct, [ledger.output]);
    expect(all.length).toBeGreaterThan(visible.length);
    const second = member('second');
    await second.says(transaction('committed'));
    const after = secondsSince(killed);
    const { text } = await ledger.verify('exactly_once');
    seen(task, `${all.length - visible.length} written, never visible; next commit after ${after} s; ${text}`);
  });

  it('fault 2: killed between its write and its commit, at least once: written again, nothing lost', async ({
    task,
  }) => {
    const { ledger, member } = await on.play('at_least_once', { partitions: 2 });
    await ledger.feed(200);
    const first = member('first');
    const commit = on.cluster.faults.hold({ api: 'OffsetCommit', side: 'request', client: 'first' });
    await commit.caught;
    first.signal('SIGKILL');
    await first.exit;
    await ledger.nothingCommittedUnprocessed();
    member('second');
    const { doubled, text } = await ledger.verify('at_least_once');
    expect(doubled).toBeGreaterThan(0);
    seen(task, `at least once: ${text}`);
  });

  it('fault 3: killed while it commits: what the broker heard stands, what it did not is void, also when it comes late', async ({
    task,
  }) => {
    const { ledger, member } = await on.play('exactly_once', { partitions: 2 });
    await ledger.feed(300);
    const first = member('first');
    await first.says(transaction('committed'));
    const asked = on.cluster.faults.hold({ api: 'EndTxn', side: 'request', client: 'first' });
    await asked.caught;
    asked.sever();
    first.signal('SIGKILL');
    await first.exit;
    const before = ledger.seen;

    const second = member('second');
    await second.says(transaction('committed'));
    const late = on.cluster.faults.hold({ api: 'EndTxn', side: 'response', client: 'first' });
    asked.release();
    const refused = errorCode(await late.caught);
    expect(FENCED).toContain(refused);
    late.release();
    expect(ledger.seen).toBeGreaterThanOrEqual(before);

    const answered = on.cluster.faults.hold({ api: 'EndTxn', side: 'response', client: 'second' });
    expect(errorCode(await answered.caught)).toBe(0);
    second.signal('SIGKILL');
    await second.exit;
    answered.release();
    member('third');
    const { text } = await ledger.verify('exactly_once');
    seen(task, `a commit that came late refused (code ${refused}), one without an answer stands; ${text}`);
  });

  it('fault 5: the answer to a commit is lost with its connection: the producer is made anew, the offset read again', async ({
    task,
  }) => {
    const { ledger, member } = await on.play('exactly_once', { partitions: 1 });
    await ledger.feed(200);
    const worker = member('worker');
    await worker.says(transaction('committed'));
    const asked = (api: 'InitProducerId' | 'OffsetFetch') =>
      on.cluster.faults.count({ api, side: 'request', client: 'worker' });
    const before = { ids: asked('InitProducerId'), offsets: asked('OffsetFetch') };
    const lost = on.cluster.faults.cut({ api: 'EndTxn', side: 'response', client: 'worker' });
    expect(errorCode(await lost.caught)).toBe(0);
    const from = worker.said.length;
    const { text } = await ledger.verify('exactly_once');
    const unknown = worker.said.slice(from).filter(transaction('unknown')).length;
    const offsets = asked('OffsetFetch') - before.offsets;
    expect(unknown).toBe(1);
    // Asked again while the transaction that was committed is being finished.
    expect(asked('InitProducerId')).toBeGreaterThan(before.ids);
    expect(offsets).toBeGreaterThan(0);
    seen(task, `connection cut: ${unknown} unknown, a producer made anew, the offset read again; ${text}`);
  });

  it.runIf(LONG)(
    'fault 5: the answer to a commit never comes: given up after ten seconds, the rest as before',
    async ({ task }) => {
      const { ledger, member } = await on.play('exactly_once', { partitions: 2 });
      await ledger.feed(200);
      const worker = member('worker');
      await worker.says(transaction('committed'));
      const lost = on.cluster.faults.swallow({ api: 'EndTxn', side: 'response', client: 'worker' });
      await lost.caught;
      const began = performance.now();
      const { at } = await worker.says(transaction('unknown'));
      const waited = (at - began) / 1000;
      const { text } = await ledger.verify('exactly_once');
      expect(waited).toBeGreaterThan(5);
      seen(task, `never answered: unknown after ${waited.toFixed(1)} s; ${text}`);
    },
  );

  it('fault 6: a commit that reaches the broker in the middle of the next transaction is refused', async ({ task }) => {
    const { ledger, member } = await on.play('exactly_once', { partitions: 1 });
    await ledger.feed(200);
    const worker = member('worker');
    await worker.says(transaction('committed'));
    const late = on.cluster.faults.hold({ api: 'EndTxn', side: 'request', client: 'worker' });
    await late.caught;
    const next = on.cluster.faults.hold({ api: 'Produce', side: 'response', client: 'worker' });
    late.sever();
    await next.caught;
    const answer = on.cluster.faults.hold({ api: 'EndTxn', side: 'response', client: 'worker' });
    late.release();
    const refused = errorCode(await answer.caught);
    answer.release();
    next.release();
    expect(FENCED).toContain(refused);
    await worker.says(transaction('unknown'));
    const { text } = await ledger.verify('exactly_once');
    seen(task, `refused with code ${refused}; ${text}`);
  });

  it('fault 7: a transaction outlives its time: the broker aborts it, its work is done again, and it is counted', async ({
    task,
  }) => {
    const { ledger, member } = await on.play('exactly_once', { partitions: 1 });
    await ledger.feed(200);
    const worker = member('worker');
    await worker.says(transaction('committed'));
    const slow = on.cluster.faults.hold({ api: 'Produce', side: 'response', client: 'worker' });
    await slow.caught;
    const before = ledger.seen;
    await ledger.settled(ledger.output, 0);
    slow.release();
    await worker.says(transaction('aborted'));
    expect(ledger.seen).toBe(before);
    const { text } = await ledger.verify('exactly_once');
    const aborted = worker.said.filter(transaction('aborted')).length;
    expect(aborted).toBe(1);
    seen(task, `${aborted} aborted and counted; ${text}`);
  });

  it('fault 8: a second process with the same transactional id fences the first, which says so, and takes it back', async ({
    task,
  }) => {
    const { ledger, member } = await on.play('exactly_once', { partitions: 1 });
    await ledger.feed(200);
    const worker = member('worker');
    await worker.says(transaction('committed'));
    const { group, input: topic } = ledger;
    // Before the other begins: a worker in the midst of a transaction hears of it before we do.
    const from = worker.said.length;
    const other = await on.cluster.broker.transactions({
      id: transactionalId(group, { topic, partition: 0 }),
      timeoutMs: 5000,
    });
    await other.begin();
    // It may have been quick and have nothing left to commit; only the next transaction tells it that it is fenced.
    await ledger.feed(100);
    const fenced = await worker.says(note(/newer producer with the same transactionalId/), from);
    await worker.says(transaction('committed'), worker.said.indexOf(fenced));
    await expect(other.sendOffsets(group, [{ topic, partition: 0, offset: 199n }])).rejects.toMatchObject({
      code: 'producer_fenced',
    });
    await other.stop();
    const { text } = await ledger.verify('exactly_once');
    seen(task, `"${fenced.message}"; ${text}`);
  });
});
