import { handshakeReason, type TlsSettings } from '../../credentials/handshake.js';
import { type ErrorCode, MnerError, remedyBeside } from '../../errors.js';
import { CLOSED_AT_ONCE } from './refusing.js';

/**
 * Gives what kafkajs threw a code of ours. kafkajs wraps: a retry's error holds its cause, an aggregate holds several;
 * the innermost one with a protocol type decides.
 *
 * @param what what was tried, as the start of a sentence: "Cannot write to tweets"
 * @param otherwise the code of everything that is no fault of the record, the topic or the rights. `broker_unreachable`
 *   stands for the first contact: what is wrong with a connection is then the set-up's fault, and fatal. Later the same
 *   passes for an outage, since certificates and brokers are replaced while we run.
 */
export function wireError(error: unknown, what: string, otherwise: ErrorCode = 'broker_unavailable'): MnerError {
  const first = otherwise === 'broker_unreachable';
  const ours = mnerErrorIn(error);
  if (ours) {
    const passes = ours.class === 'retryable' && first;
    if (!passes) return ours;
    return new MnerError(otherwise, `${what}: ${ours.message}`, { cause: error, remedy: ours.remedy });
  }
  const causes = causesOf(error);
  const handshake = causes
    .map(({ code, message }) => handshakeReason(code, message, TLS))
    .find((found) => found !== undefined);
  if (handshake !== undefined)
    return new MnerError(first ? 'tls_failed' : otherwise, `${what}: ${handshake}.`, { cause: error, remedy: '' });
  const code = causes.map((cause) => codeOf(cause, first)).find((found) => found !== undefined) ?? otherwise;
  const reason = causes.map((cause) => reasonOf(cause, first)).find((found) => found !== undefined);
  const said = reason ?? causes.at(-1)?.message ?? String(error);
  return new MnerError(code, `${what}: ${said.replace(/\.$/, '')}.`, { cause: error, remedy: remedyBeside(reason) });
}

/** An error of ours that kafkajs has passed on or wrapped, say of a source of tokens. */
function mnerErrorIn(error: unknown): MnerError | undefined {
  for (let next = error, depth = 0; next instanceof Error && depth < 10; next = next.cause, depth += 1)
    if (next instanceof MnerError) return next;
  return undefined;
}

const RIGHTS: Readonly<Record<string, string>> = {
  TOPIC_AUTHORIZATION_FAILED: 'this user lacks the right to the topic',
  GROUP_AUTHORIZATION_FAILED: 'this user lacks the right to read in the group',
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED: 'this user lacks the right to write with the transactional id',
  CLUSTER_AUTHORIZATION_FAILED: 'this user lacks the right to it',
};

/** In words of ours where kafkajs's do not say what is wrong; behind a semicolon, what to do. */
function reasonOf({ name, type, code, message }: Cause, first: boolean): string | undefined {
  if (name === 'KafkaJSSASLAuthenticationError')
    return `it refuses the login: ${message.replace(/^SASL .*? authentication failed: (Authentication failed: )?/, '')}`;
  const right = type === undefined ? undefined : RIGHTS[type];
  if (right !== undefined) return right;
  if (type === 'INVALID_TIMESTAMP')
    return "this machine's clock is further ahead of the broker's than the topic allows (`message.timestamp.after.max.ms`); set it right";
  if (type === 'INVALID_RECORD')
    return 'the topic takes no such record: where its `cleanup.policy` is `compact`, it takes none without a key';
  if (type === 'INVALID_TRANSACTION_TIMEOUT')
    return 'no transaction may last as long as `transaction_timeout_ms`; lower that, or raise `transaction.max.timeout.ms` of the broker';
  if (!first) return undefined;
  if (type === 'ILLEGAL_SASL_STATE')
    return 'it takes no login here; `kafka_sasl_mechanism` must be unset, or the port another';
  if (name === 'KafkaJSConnectionClosedError' || code === 'ECONNRESET' || message.endsWith(CLOSED_AT_ONCE))
    return 'it closes the connection at once; it may want TLS (`kafka_ssl`), a client certificate (`kafka_ssl_cert_file`) or a login (`kafka_sasl_mechanism`)';
  return undefined;
}

const TLS: TlsSettings = {
  on: 'kafka_ssl',
  ca: 'kafka_ssl_ca_file',
  cert: 'kafka_ssl_cert_file',
  key: 'kafka_ssl_key_file',
  hosts: '`brokers` and `advertised.listeners`',
};

/** Whether it came from the wire or from kafkajs's own checks, rather than from a defect in a program. */
export function isWireError(error: unknown): boolean {
  return causesOf(error).every((cause) => cause.name.startsWith('KafkaJS') || typeof cause.code === 'string');
}

/** Whether the broker's answer was one of these, by kafkajs's names for them. */
export function hasType(error: unknown, types: readonly string[]): boolean {
  return causesOf(error).some(({ type }) => type !== undefined && types.includes(type));
}

/** Whether kafkajs has thrown an error of this name, or wrapped one. */
export function hasName(error: unknown, name: string): boolean {
  return causesOf(error).some((cause) => cause.name === name);
}

interface Cause {
  readonly name: string;
  readonly message: string;
  readonly type: string | undefined;
  readonly code: unknown;
}

/** The error, what caused it, and so on down; of an aggregate its first. */
function causesOf(error: unknown): Cause[] {
  const causes: Cause[] = [];
  let next = error;
  while (next instanceof Error && causes.length < 10) {
    const held = next as Error & { type?: unknown; code?: unknown; errors?: unknown };
    causes.push({
      name: held.name,
      message: held.message,
      type: typeof held.type === 'string' ? held.type : undefined,
      code: held.code,
    });
    next = Array.isArray(held.errors) ? held.errors[0] : held.cause;
  }
  return causes;
}

function codeOf({ name, type }: Cause, first: boolean): ErrorCode | undefined {
  if (name === 'KafkaJSSASLAuthenticationError') return 'authentication_failed';
  switch (type) {
    case undefined:
      return undefined;
    case 'MESSAGE_TOO_LARGE':
    case 'RECORD_LIST_TOO_LARGE':
      return 'output_too_large';
    case 'INVALID_RECORD':
      return 'output_refused';
    case 'INVALID_TIMESTAMP':
      return 'clock_wrong';
    case 'UNKNOWN_TOPIC_OR_PARTITION':
    case 'INVALID_TOPIC_EXCEPTION':
      return 'topic_missing';
    case 'INVALID_TRANSACTION_TIMEOUT':
      return 'bad_config';
    case 'INVALID_PRODUCER_EPOCH':
      return 'producer_fenced';
    case 'SASL_AUTHENTICATION_FAILED':
    case 'UNSUPPORTED_SASL_MECHANISM':
      return 'authentication_failed';
    case 'ILLEGAL_SASL_STATE':
      // Later, a broker says so to a connection that proves itself again within a second, and closes it.
      return first ? 'authentication_failed' : undefined;
    default:
      return type.endsWith('_AUTHORIZATION_FAILED') ? 'not_authorised' : undefined;
  }
}
