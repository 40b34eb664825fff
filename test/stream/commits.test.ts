import { describe, expect, it } from 'vitest';
import { manualClock } from '#mner/clock.js';
import { createCommits } from '#mner/stream/commits.js';
import type { CommitOffset } from '#mner/stream/port.js';
import { silent } from '#mner/telemetry/events.js';

function setUp(everyRecords = 1000) {
  const clock = manualClock();
  const made: CommitOffset[][] = [];
  let finish = () => {};
  const commits = createCommits({
    commit: (offsets) => {
      made.push([...offsets]);
      return new Promise((resolve) => {
        finish = resolve;
      });
    },
    everyRecords,
    everyMs: 500,
    clock,
    emit: silent,
    failed: (error) => {
      throw error;
    },
  });
  const settle = async () => {
    finish();
    for (let turn = 0; turn < 10; turn++) await Promise.resolve();
  };
  return { clock, commits, made, settle };
}

const upTo = (offset: number) => ({ topic: 't', partition: 0, offset: BigInt(offset) });

describe('commits', () => {
  it('do not follow each other at once when acknowledgements come during a commit', async () => {
    const { clock, commits, made, settle } = setUp();
    commits.acknowledged(upTo(1), 1);
    clock.advance(500);
    expect(made).toHaveLength(1);
    commits.acknowledged(upTo(2), 1);
    await settle();
    expect(made).toHaveLength(1);
    clock.advance(499);
    expect(made).toHaveLength(1);
    clock.advance(1);
    expect(made.at(-1)).toEqual([upTo(2)]);
  });

  it('are not forgotten when their time comes during a slow commit and nothing follows', async () => {
    const { clock, commits, made, settle } = setUp();
    commits.acknowledged(upTo(1), 1);
    clock.advance(500);
    commits.acknowledged(upTo(2), 1);
    clock.advance(500);
    expect(made).toHaveLength(1);
    await settle();
    clock.advance(500);
    expect(made.at(-1)).toEqual([upTo(2)]);
  });

  it('come at once after so many records', async () => {
    const { commits, made, settle } = setUp(10);
    commits.acknowledged(upTo(10), 10);
    expect(made).toHaveLength(1);
    commits.acknowledged(upTo(25), 15);
    await settle();
    expect(made.at(-1)).toEqual([upTo(25)]);
  });

  it('are all made by a flush', async () => {
    const { clock, commits, made, settle } = setUp();
    commits.acknowledged(upTo(1), 1);
    clock.advance(500);
    commits.acknowledged(upTo(2), 1);
    const flushed = commits.flush();
    await settle();
    await settle();
    await expect(flushed).resolves.toBeUndefined();
    expect(made).toEqual([[upTo(1)], [upTo(2)]]);
  });

  it('of an older epoch are dropped', () => {
    const { clock, commits, made } = setUp();
    commits.acknowledged(upTo(1), 1);
    commits.reset();
    clock.advance(10_000);
    expect(made).toEqual([]);
  });
});
