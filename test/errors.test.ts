import { expect, it } from 'vitest';
import { ERRORS, inFull, MnerError } from '#mner/errors.js';

it('a server that goes silent in the midst of a start ends a command as one that never answered: exit code 4', () => {
  const entries = Object.values(ERRORS);
  const retryable = entries.filter((entry) => entry.class === 'retryable');
  expect(retryable.length).toBeGreaterThan(0);
  expect(retryable.map(({ exit }) => exit)).toEqual(retryable.map(() => ERRORS.broker_unreachable.exit));
});

it('says what to do behind what went wrong, and not twice', () => {
  const said = inFull(new MnerError('broker_unreachable', 'Cannot reach Kafka at k:9092: ECONNREFUSED.'));
  expect(said).toBe('Cannot reach Kafka at k:9092: ECONNREFUSED. Check `MNER_BROKERS` and that Kafka runs.');
  // Here the message says it, or whoever threw it knew better than the table.
  expect(inFull(new MnerError('bad_config', 'http_port must be a number.'))).toBe('http_port must be a number.');
  expect(inFull(new MnerError('tls_failed', 'Its certificate has expired; renew it.', { remedy: '' }))).toBe(
    'Its certificate has expired; renew it.',
  );
  expect(inFull(new MnerError('broker_unavailable', 'They move.', { remedy: 'Try again later.' }))).toBe(
    'They move. Try again later.',
  );
});
