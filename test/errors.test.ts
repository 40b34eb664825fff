import { expect, it } from 'vitest';
import { ERRORS } from '#mner/errors.js';

it('a server that goes silent in the midst of a start ends a command as one that never answered: exit code 4', () => {
  const entries = Object.values(ERRORS);
  const retryable = entries.filter((entry) => entry.class === 'retryable');
  expect(retryable.length).toBeGreaterThan(0);
  expect(retryable.map(({ exit }) => exit)).toEqual(retryable.map(() => ERRORS.broker_unreachable.exit));
});
