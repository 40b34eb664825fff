/**
 * The one table of errors: every code that a user can meet, in a dead letter, a log line or on the way out.
 *
 * The class says what the worker does about it:
 * - `poison`: the record itself is at fault; it goes to the dead-letter topic and its lane goes on.
 * - `retryable`: the world is at fault and may recover; the lane waits, backs off and tries again.
 * - `fatal`: nothing sensible can follow; the process ends with the exit code of the table.
 * - `degraded`: the worker goes on without the part that failed, and says so.
 */
export const ERRORS = {
  // The tweet
  bad_json: poison('The value is not JSON.', 'Look at the bytes in the dead letter; fix the producer.'),
  bad_utf8: poison('The value is not UTF-8.', 'Send JSON in UTF-8.'),
  too_deep: poison('The JSON is nested more deeply than any tweet.', 'Send one tweet per record, in a known shape.'),
  unknown_shape: poison(
    'The JSON has none of the three known shapes of a tweet.',
    'See the input section of the README.',
  ),
  no_id: poison('The tweet has no id.', 'Send `id` (or `id_str`).'),
  no_text: poison('The tweet has no text.', 'Send `text`; an empty text is fine.'),
  text_too_long: poison('The text is longer than 25,000 characters.', 'No tweet is; split or cut the text.'),
  inference_poison: poison('The model cannot process this tweet.', 'Report it with the model bundle and its version.'),
  output_too_large: poison(
    'The result is larger than the output topic accepts.',
    'Raise `max.message.bytes` of the topic.',
  ),
  output_refused: poison(
    'The topic takes no such record: a compacted one takes none without a key.',
    "Send tweets with a key, or take `compact` out of the topic's `cleanup.policy`.",
  ),

  // Set-up
  bad_config: fatal(2, 'The configuration is not valid.', 'Correct the field that the message names.'),
  bad_input: fatal(2, 'The command cannot use what it was given.', 'Correct the argument that the message names.'),
  bad_bundle: fatal(3, 'The model bundle is missing, incomplete or altered.', 'Run `mner bundle verify`.'),
  provider_unavailable: fatal(
    3,
    'The execution provider cannot start here.',
    'Install its driver, or set `MNER_PROVIDERS=cpu`.',
  ),
  inference_unavailable: fatal(3, 'The inference processes keep failing.', 'Look at the log lines before this one.'),
  port_in_use: fatal(2, 'The HTTP port is taken.', 'Choose another with `MNER_HTTP_PORT`.'),
  missing_tool: fatal(2, 'A program that this command needs is not installed.', 'Install what the message names.'),

  bad_download: fatal(
    3,
    'A downloaded file is missing or altered.',
    'Delete the folder that the message names; it is fetched again.',
  ),
  local_server: fatal(4, 'A server on this machine did not start.', 'Look at what it said, in the message.'),

  // The wire
  broker_unreachable: fatal(4, 'No Kafka broker answers.', 'Check `MNER_BROKERS` and that Kafka runs.'),
  broker_unavailable: retryable(
    'Kafka does not answer for now.',
    'Wait until it does: a lane tries again by itself, a command wants to be run again.',
  ),
  clock_wrong: retryable(
    "This machine's clock is further ahead of the broker's than a topic allows (`message.timestamp.after.max.ms`).",
    'Set the clock of this machine right; the lane tries again.',
  ),
  producer_fenced: retryable(
    'Another producer has taken over this partition.',
    'Nothing: it is no longer ours, or is opened again. If it goes on, two clusters of workers share a group.',
  ),
  topic_missing: fatal(4, 'A topic does not exist.', 'Create what is missing: `mner topics --create`.'),
  not_authorised: fatal(
    4,
    'The broker refuses access to a topic, a group or a transactional id.',
    'Grant the right that the message names; `docs/security.md` lists them all.',
  ),
  offset_out_of_range: fatal(
    4,
    'The input topic no longer has the offset that the group has come to, and `offset_out_of_range` is `fail`.',
    'See what is lost, then set `MNER_OFFSET_OUT_OF_RANGE` to `earliest` or `latest`, or set the offsets of the group.',
  ),
  authentication_failed: fatal(
    4,
    'The broker refuses the credentials.',
    'Check the mechanism, and the user and the password or the token.',
  ),
  tls_failed: fatal(
    4,
    'No secure connection to the broker comes about.',
    'Check `kafka_ssl` and its files, the names and the dates of the certificates.',
  ),
  consumer_crashed: fatal(5, 'The Kafka consumer stopped for good.', 'Restart the worker; nothing was lost.'),
  drain_timed_out: fatal(
    6,
    'Work was still in flight when the drain deadline passed.',
    'It is redone by the next worker.',
  ),

  // Dead letters, and what is tried again
  dead_letters_unavailable: retryable(
    'The dead-letter topic is missing, or takes nothing of this worker.',
    'Create it, grant the right to write, raise its `max.message.bytes`, or take `compact` out of its `cleanup.policy`; lanes with a dead letter wait, and nothing is dropped.',
  ),
  picture_unavailable: retryable(
    'The picture could not be had for now.',
    'Nothing: the tweet is tried again after `retry_delay_ms`, and goes out as text the last time.',
  ),
  redrive_overtaken: fatal(
    5,
    'Another `mner dlq redrive` has taken over while this one ran.',
    'Let the other one finish; what this one sent back is not sent again.',
  ),
  redrive_scattered: fatal(
    5,
    'Those sent back lie too scattered among those left for the group to keep which were which.',
    'Send those back that lie between, with fewer filters; what was sent back before is kept.',
  ),

  // The cache
  cache_unreachable: fatal(4, 'Redis does not answer.', 'Check `MNER_REDIS_URL`, or set it to `none` to run without.'),
  cache_unavailable: degraded('Redis does not answer for now.', 'The worker goes on with live fetches.'),

  // Pictures
  decoder_unavailable: degraded(
    'The process that decodes pictures does not start.',
    'The worker goes on without pictures; look at the log lines before this one.',
  ),

  // Our own fault
  internal: fatal(70, 'This is a defect of mner-stream.', 'Please report it with the message.'),
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof ERRORS;
export type ErrorClass = 'retryable' | 'poison' | 'fatal' | 'degraded';

interface ErrorEntry {
  readonly class: ErrorClass;
  readonly cause: string;
  readonly remedy: string;
  /** Exit code of the process; only fatal errors end it. */
  readonly exit: number;
}

/** Codes whose messages end with what to do themselves, since the remedy of the table can only point at the message. */
const ADVISED: ReadonlySet<ErrorCode> = new Set([
  'bad_config',
  'bad_input',
  'bad_bundle',
  'port_in_use',
  'missing_tool',
  'bad_download',
  'local_server',
  'tls_failed',
  'clock_wrong',
  'drain_timed_out',
]);

export interface MnerErrorOptions extends ErrorOptions {
  /** What to do, as a sentence; empty where the message says it. @default that of the table, where it adds to the message */
  readonly remedy?: string | undefined;
}

/** An error with a code from {@link ERRORS}. Its message is one sentence for people and never holds a tweet's text or a secret. */
export class MnerError extends Error {
  readonly code: ErrorCode;
  /** What to do, as a sentence; empty where the message says it. */
  readonly remedy: string;

  constructor(code: ErrorCode, message: string = ERRORS[code].cause, options: MnerErrorOptions = {}) {
    super(message, options);
    this.name = 'MnerError';
    this.code = code;
    this.remedy = options.remedy ?? (ADVISED.has(code) ? '' : ERRORS[code].remedy);
  }

  get class(): ErrorClass {
    return ERRORS[this.code].class;
  }
}

/** Gives any thrown thing a code: an {@link MnerError} as it is, everything else as `internal`. */
export function asMnerError(error: unknown): MnerError {
  if (error instanceof MnerError) return error;
  return new MnerError('internal', error instanceof Error ? error.message : String(error), { cause: error });
}

/**
 * The remedy beside a reason in words of ours: such a reason says behind a semicolon what to do, and then nothing more is said.
 *
 * @returns for {@link MnerErrorOptions.remedy}
 */
export function remedyBeside(reason: string | undefined): '' | undefined {
  return reason?.includes('; ') ? '' : undefined;
}

/** What is said to people who wait for a command: what went wrong, why, and what to do. */
export function inFull({ message, remedy }: MnerError): string {
  return remedy === '' ? message : `${message} ${remedy}`;
}

function poison(cause: string, remedy: string): ErrorEntry & { class: 'poison' } {
  return { class: 'poison', cause, remedy, exit: 1 };
}
/** Nobody waits it out before anything was begun: a command then ends as it does where a server does not answer at all. */
function retryable(cause: string, remedy: string): ErrorEntry & { class: 'retryable' } {
  return { class: 'retryable', cause, remedy, exit: 4 };
}
function degraded(cause: string, remedy: string): ErrorEntry & { class: 'degraded' } {
  return { class: 'degraded', cause, remedy, exit: 1 };
}
function fatal(exit: number, cause: string, remedy: string): ErrorEntry & { class: 'fatal' } {
  return { class: 'fatal', cause, remedy, exit };
}
