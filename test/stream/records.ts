import { MnerError } from '#mner/errors.js';
import type { Outcome } from '#mner/stream/outcome.js';
import type { InputRecord } from '#mner/stream/port.js';

/** An input record for tests. */
export function record(offset: bigint | number, change: Partial<InputRecord> = {}): InputRecord {
  return {
    topic: 'in',
    partition: 0,
    offset: BigInt(offset),
    key: null,
    value: Buffer.from(`v${offset}`),
    headers: [],
    timestamp: 0,
    ...change,
  };
}

/** An output that tells which record it came from. */
export function output(of: InputRecord, change: Partial<Extract<Outcome, { kind: 'output' }>> = {}): Outcome {
  return { kind: 'output', value: Buffer.from(`out ${of.partition}:${of.offset}`), headers: [], ...change };
}

export const poison: Outcome = { kind: 'dead_letter', error: new MnerError('bad_json', 'Not JSON.') };
