import { describe, expect, it } from 'vitest';
import { createPositions } from '#mner/stream/kafka/positions.js';

describe('positions', () => {
  it('take nothing before they are placed, and then what follows', () => {
    const positions = createPositions();
    positions.joined(['t/0'], true);
    expect(positions.judge('t/0', 50n)).toEqual({ verdict: 'refuse' });
    positions.place('t/0', 50n);
    expect(positions.judge('t/0', 50n)).toEqual({ verdict: 'take' });
    positions.taken('t/0', 60n);
    expect(positions.judge('t/0', 60n)).toEqual({ verdict: 'take' });
    expect(positions.judge('t/1', 0n)).toEqual({ verdict: 'refuse' });
  });

  it('refuse what an older generation fetched, so that nothing in between is skipped', () => {
    const positions = createPositions();
    positions.joined(['t/0'], true);
    positions.place('t/0', 0n);
    positions.taken('t/0', 200n);
    positions.joined(['t/0'], false);
    expect(positions.judge('t/0', 200n)).toEqual({ verdict: 'refuse' });
    positions.place('t/0', 50n);
    expect(positions.judge('t/0', 200n)).toEqual({ verdict: 'seek', offset: 50n });
    expect(positions.judge('t/0', 50n)).toEqual({ verdict: 'take' });
  });

  it('go on where the broker goes on when what was sought is gone', () => {
    const positions = createPositions();
    positions.joined(['t/0'], true);
    positions.place('t/0', 0n);
    positions.taken('t/0', 10n);
    expect(positions.judge('t/0', 90n)).toEqual({ verdict: 'seek', offset: 10n });
    expect(positions.judge('t/0', 90n)).toEqual({ verdict: 'jumped', expected: 10n });
    positions.taken('t/0', 95n);
    expect(positions.judge('t/0', 95n)).toEqual({ verdict: 'take' });
  });

  it('placed anew take nothing that was fetched before, also after a quiet join', () => {
    const positions = createPositions();
    positions.joined(['t/0'], true);
    positions.place('t/0', 0n);
    positions.taken('t/0', 100n);
    positions.place('t/0', 60n);
    positions.skipped('t/0', 105n);
    expect(positions.judge('t/0', 100n)).toEqual({ verdict: 'seek', offset: 60n });
    positions.place('t/0', 60n);
    expect(positions.judge('t/0', 100n)).toEqual({ verdict: 'seek', offset: 60n });
    expect(positions.judge('t/0', 60n)).toEqual({ verdict: 'take' });
  });

  it('follow kafkajs over markers of transactions after a quiet join only', () => {
    const positions = createPositions();
    positions.joined(['t/0'], true);
    positions.place('t/0', 0n);
    positions.taken('t/0', 10n);
    positions.skipped('t/0', 11n);
    expect(positions.judge('t/0', 11n)).toEqual({ verdict: 'take' });
    positions.joined(['t/0'], false);
    positions.place('t/0', 10n);
    positions.skipped('t/0', 300n);
    expect(positions.judge('t/0', 300n)).toEqual({ verdict: 'seek', offset: 10n });
  });
});
