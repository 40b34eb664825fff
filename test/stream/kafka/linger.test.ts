import type { Batch } from 'kafkajs';
import { describe, expect, it } from 'vitest';
import { manualClock } from '#mner/clock.js';
import { createLinger } from '#mner/stream/kafka/linger.js';

/** What a fetch brought of one partition whose log ends at 1000. */
function brought(count: number, last = 999): Batch {
  return { messages: Array(count).fill({}), highWatermark: '1000', lastOffset: () => `${last}` } as unknown as Batch;
}

function setUp() {
  const clock = manualClock();
  const linger = createLinger(clock, new AbortController().signal);
  /** Whether it waits; if so, the wait is waited out. */
  const waits = async (batch: Batch) => {
    let over = false;
    const waiting = linger(batch).then(() => {
      over = true;
    });
    await new Promise(setImmediate);
    const waited = !over;
    clock.advance(5);
    await waiting;
    return waited;
  };
  return { clock, waits };
}

describe('the wait before the next fetch', () => {
  it('comes after a little at the end of a partition, once for all partitions of a fetch', async () => {
    const { clock, waits } = setUp();
    expect(await waits(brought(1))).toBe(true);
    expect(await waits(brought(2))).toBe(false);
    clock.advance(5);
    expect(await waits(brought(1))).toBe(true);
  });

  it('does not come behind the end or after a large fetch, and not for a second from then on, whatever partition it was', async () => {
    for (const much of [brought(1, 500), brought(16)]) {
      const { clock, waits } = setUp();
      expect(await waits(much)).toBe(false);
      expect(await waits(brought(1))).toBe(false);
      clock.advance(1000);
      expect(await waits(brought(1))).toBe(true);
    }
  });

  it('ends when the consumer does', async () => {
    const ending = new AbortController();
    const wait = createLinger(manualClock(), ending.signal)(brought(1));
    ending.abort();
    await expect(wait).resolves.toBeUndefined();
  });
});
