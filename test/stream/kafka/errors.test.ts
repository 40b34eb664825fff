import { describe, expect, it } from 'vitest';
import { MnerError } from '#mner/errors.js';
import { isWireError, wireError } from '#mner/stream/kafka/errors.js';

/** An error in the shape that kafkajs throws. */
function thrown(
  name: string,
  change: { message?: string; type?: string; code?: unknown; cause?: unknown } = {},
): Error {
  const { message = 'It broke', ...rest } = change;
  return Object.assign(new Error(message), { name, ...rest });
}

describe('what kafkajs throws', () => {
  it.each([
    ['MESSAGE_TOO_LARGE', 'output_too_large'],
    ['RECORD_LIST_TOO_LARGE', 'output_too_large'],
    ['UNKNOWN_TOPIC_OR_PARTITION', 'topic_missing'],
    ['SASL_AUTHENTICATION_FAILED', 'authentication_failed'],
    ['UNSUPPORTED_SASL_MECHANISM', 'authentication_failed'],
    ['INVALID_PRODUCER_EPOCH', 'producer_fenced'],
    ['CONCURRENT_TRANSACTIONS', 'broker_unavailable'],
    ['NOT_ENOUGH_REPLICAS', 'broker_unavailable'],
    ['REBALANCE_IN_PROGRESS', 'broker_unavailable'],
  ])('with type %s has the code %s', (type, code) => {
    const inner = thrown('KafkaJSProtocolError', { type });
    expect(wireError(inner, 'Cannot write')).toMatchObject({ code, message: 'Cannot write: It broke.' });
    const retried = thrown('KafkaJSNumberOfRetriesExceeded', { cause: inner });
    expect(wireError(retried, 'Cannot write').code).toBe(code);
  });

  it.each([
    ['TOPIC_AUTHORIZATION_FAILED', 'this user lacks the right to the topic'],
    ['GROUP_AUTHORIZATION_FAILED', 'this user lacks the right to read in the group'],
    ['CLUSTER_AUTHORIZATION_FAILED', 'this user lacks the right to it'],
    ['TRANSACTIONAL_ID_AUTHORIZATION_FAILED', 'this user lacks the right to write with the transactional id'],
  ])('with type %s says in our words what is missing', (type, said) => {
    expect(wireError(thrown('KafkaJSProtocolError', { type }), 'Cannot read in the group mner')).toMatchObject({
      code: 'not_authorised',
      message: `Cannot read in the group mner: ${said}.`,
    });
  });

  it.each([
    ['INVALID_RECORD', 'output_refused', /^Cannot write: the topic takes no such record: .*`cleanup\.policy`.*\.$/],
    ['INVALID_TRANSACTION_TIMEOUT', 'bad_config', /^Cannot write: .*`transaction_timeout_ms`; lower that, .*\.$/],
    ['INVALID_TIMESTAMP', 'clock_wrong', /^Cannot write: this machine's clock is .*; set it right\.$/],
  ])('with type %s has the code %s, and says in our words what is wrong', (type, code, said) => {
    const error = wireError(thrown('KafkaJSProtocolError', { type }), 'Cannot write');
    expect(error).toMatchObject({ code, message: expect.stringMatching(said) });
  });

  it('has the code of the first of several', () => {
    const both = Object.assign(thrown('KafkaJSAggregateError'), {
      errors: [thrown('KafkaJSCreateTopicError', { type: 'CLUSTER_AUTHORIZATION_FAILED' })],
    });
    expect(wireError(both, 'Cannot create').code).toBe('not_authorised');
  });

  it('without a meaning of its own has the code of what was tried', () => {
    const error = thrown('KafkaJSConnectionError', { message: 'Connection timeout' });
    expect(wireError(error, 'Cannot reach', 'broker_unreachable').code).toBe('broker_unreachable');
    expect(wireError(thrown('KafkaJSSASLAuthenticationError'), 'Cannot reach').code).toBe('authentication_failed');
  });

  it('about certificates is fatal at the first contact, and passes for an outage later', () => {
    const error = thrown('KafkaJSNumberOfRetriesExceeded', {
      cause: thrown('KafkaJSConnectionError', { message: 'certificate has expired', code: 'CERT_HAS_EXPIRED' }),
    });
    const said = 'its certificate has expired; renew it, or set the clock of this machine right.';
    const first = wireError(error, 'Cannot reach Kafka', 'broker_unreachable');
    expect(first).toMatchObject({ code: 'tls_failed', message: `Cannot reach Kafka: ${said}` });
    expect(wireError(error, 'Cannot write')).toMatchObject({
      code: 'broker_unavailable',
      message: `Cannot write: ${said}`,
    });
  });

  it('of ours that kafkajs has wrapped is found, and what would pass later is fatal at the first contact', () => {
    const refused = new MnerError('authentication_failed', 'The token endpoint refuses the client.');
    expect(wireError(thrown('KafkaJSNonRetriableError', { cause: refused }), 'Cannot write')).toBe(refused);
    const away = new MnerError('broker_unavailable', 'The token endpoint does not answer.');
    expect(wireError(away, 'Cannot write')).toBe(away);
    expect(wireError(away, 'Cannot reach Kafka', 'broker_unreachable')).toMatchObject({
      code: 'broker_unreachable',
      message: 'Cannot reach Kafka: The token endpoint does not answer.',
    });
  });

  it('says what to do once: by the table, by its own reason, or by what it has wrapped', () => {
    const refused = thrown('KafkaJSConnectionError', { message: 'connect ECONNREFUSED', code: 'ECONNREFUSED' });
    expect(wireError(refused, 'Cannot reach Kafka', 'broker_unreachable').remedy).toMatch(/`MNER_BROKERS`/);
    const closed = thrown('KafkaJSConnectionClosedError', { message: 'Closed connection' });
    const expired = thrown('KafkaJSConnectionError', { message: 'certificate has expired', code: 'CERT_HAS_EXPIRED' });
    for (const error of [closed, expired])
      expect(wireError(error, 'Cannot reach Kafka', 'broker_unreachable')).toMatchObject({
        message: expect.stringContaining('; '),
        remedy: '',
      });
    const away = new MnerError('broker_unavailable', 'It does not answer.', { remedy: 'Check the token endpoint.' });
    expect(wireError(away, 'Cannot reach Kafka', 'broker_unreachable').remedy).toBe('Check the token endpoint.');
  });

  it('keeps a code of ours', () => {
    const ours = new MnerError('topic_missing', 'The topic t does not exist.');
    expect(wireError(ours, 'Cannot write')).toBe(ours);
  });

  it('is told from a defect, also one that kafkajs has wrapped', () => {
    expect(isWireError(thrown('KafkaJSNonRetriableError', { cause: thrown('KafkaJSProtocolError') }))).toBe(true);
    expect(isWireError(thrown('Error', { code: 'ECONNRESET' }))).toBe(true);
    expect(isWireError(thrown('KafkaJSNonRetriableError', { cause: new TypeError('x is undefined') }))).toBe(false);
  });
});
