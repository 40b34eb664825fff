import type { Lab } from './lab.js';

/** Configuration of a worker that reads texts alone: no Redis, and no pictures in the tweets. */
export const TEXT_ONLY = { redis_url: 'none' };

/** The set as records without pictures. */
export function textValues({ set }: Lab): Buffer[] {
  return set.map(({ text }, i) => Buffer.from(JSON.stringify({ id: `${i}`, text })));
}
