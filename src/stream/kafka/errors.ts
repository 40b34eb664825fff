import { type ErrorCode, MnerError } from '../../errors.js';

/**
 * Gives what kafkajs threw a code of ours. kafkajs wraps: a retry's error holds its cause, an aggregate holds several;
 * the innermost one with a protocol type decides.
 *
 * @param what what was tried, as the start of a sentence: "Cannot write to tweets"
 * @param otherwise the code of everything that is no fault of the record, the topic or the rights
 */
export function wireError(error: unknown, what: string, otherwise: ErrorCode = 'broker_unavailable'): MnerError {
  if (error instanceof MnerError) return error;
  const causes = causesOf(error);
  const code = causes.map(codeOf).find((found) => found !== undefined) ?? otherwise;
  const reason = causes.at(-1)?.message ?? String(error);
  return new MnerError(code, `${what}: ${reason.replace(/\.$/, '')}.`, { cause: error });
}

/** Whether it came from the wire or from kafkajs's own checks, rather than from a defect in a program. */
export function isWireError(error: unknown): boolean {
  return causesOf(error).every((cause) => cause.name.startsWith('KafkaJS') || typeof cause.code === 'string');
}

/** Whether the broker's answer was one of these, by kafkajs's names for them. */
export function hasType(error: unknown, types: readonly string[]): boolean {
  return causesOf(error).some(({ type }) => type !== undefined && types.includes(type));
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

function codeOf({ name, type }: Cause): ErrorCode | undefined {
  if (name === 'KafkaJSSASLAuthenticationError') return 'authentication_failed';
  switch (type) {
    case undefined:
      return undefined;
    case 'MESSAGE_TOO_LARGE':
    case 'RECORD_LIST_TOO_LARGE':
      return 'output_too_large';
    case 'UNKNOWN_TOPIC_OR_PARTITION':
    case 'INVALID_TOPIC_EXCEPTION':
      return 'topic_missing';
    case 'INVALID_TRANSACTION_TIMEOUT':
      return 'bad_config';
    case 'INVALID_PRODUCER_EPOCH':
      return 'producer_fenced';
    case 'SASL_AUTHENTICATION_FAILED':
    case 'UNSUPPORTED_SASL_MECHANISM':
    case 'ILLEGAL_SASL_STATE':
      return 'authentication_failed';
    default:
      return type.endsWith('_AUTHORIZATION_FAILED') ? 'not_authorised' : undefined;
  }
}
