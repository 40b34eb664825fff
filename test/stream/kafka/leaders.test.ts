import { expect, it } from 'vitest';
import { manualClock } from '#mner/clock.js';
import { knownLeaders, type Leaders } from '#mner/stream/kafka/leaders.js';

it('who leads a partition is asked for in the background, every half minute, and what cannot be had leaves it as it was', async () => {
  const clock = manualClock();
  const answers: (Leaders | Error)[] = [new Map([[0, 1]]), new Error('away'), new Map([[0, 2]])];
  let asked = 0;
  const leaderOf = knownLeaders(async () => {
    const answer = answers[asked++] as Leaders | Error;
    if (answer instanceof Error) throw answer;
    return answer;
  }, clock);
  const to = { topic: 't', partition: 0 };
  const later = () => new Promise(setImmediate);
  expect(leaderOf(to)).toBeUndefined();
  await later();
  expect(leaderOf(to)).toBe(1);
  expect(leaderOf({ topic: 't', partition: 7 })).toBeUndefined();
  expect(asked).toBe(1);
  for (const leader of [1, 2]) {
    clock.advance(30_000);
    expect(leaderOf(to)).toBe(1);
    await later();
    expect(leaderOf(to)).toBe(leader);
  }
  expect(asked).toBe(3);
});
