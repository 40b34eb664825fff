import { describe, expect, it } from 'vitest';
import { readWithKcat } from '../support/ledger.js';
import { transaction } from '../support/member.js';
import { seen } from '../support/seen.js';
import { secondsSince, stage } from './stage.js';

const SESSION_S = 4;

describe('a worker that is killed with -9, on three brokers', () => {
  const on = stage(3);

  it('fault 2: when its records are written and not committed: nothing of them is visible, the next one does them', async ({
    task,
  }) => {
    const { ledger, member } = await on.play('exactly_once', { partitions: 2 });
    await ledger.feed(300);
    const first = member('first');
    await first.says(transaction('committed'));
    const written = on.cluster.faults.hold({ api: 'Produce', side: 'response', client: 'first' });
    await written.caught;
    const all = await readWithKcat(on.cluster.direct, [ledger.output], 'read_uncommitted');
    const visible = await readWithKcat(on.cluster.direct, [ledger.output]);
    first.signal('SIGKILL');
    await first.exit;
    written.release();
    const killed = performance.now();
    const second = member('second');
    await second.says(transaction('committed'));
    const after = secondsSince(killed);
    const { text } = await ledger.verify('exactly_once');
    expect(all.length).toBeGreaterThan(visible.length);
    expect(Number(after)).toBeLessThan(SESSION_S + 5);
    seen(task, `${all.length - visible.length} written and never visible; ${text}; next commit after ${after} s`);
  });
});
