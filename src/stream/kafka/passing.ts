import { type Clock, delay } from '../../clock.js';
import { hasType } from './errors.js';

/** What passes by itself, soon: the last transaction's markers are still being written, or a coordinator moves or loads. */
const PASSING = [
  'CONCURRENT_TRANSACTIONS',
  'NOT_COORDINATOR_FOR_GROUP',
  'GROUP_COORDINATOR_NOT_AVAILABLE',
  'GROUP_LOAD_IN_PROGRESS',
];

/** How long it is waited for, in milliseconds. */
const DEADLINE_MS = 5000;

/** kafkajs throws these at once. CONCURRENT_TRANSACTIONS takes 2 to 5 ms to pass. */
export async function untilPassed<T>(clock: Clock, over: () => boolean, work: () => Promise<T>): Promise<T> {
  const deadline = clock.now() + DEADLINE_MS;
  for (let wait = 2; ; wait = Math.min(wait * 1.2, 100)) {
    try {
      return await work();
    } catch (error) {
      if (!hasType(error, PASSING) || clock.now() > deadline || over()) throw error;
    }
    await delay(clock, wait + 3 * Math.random());
  }
}
