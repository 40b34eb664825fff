import { randomUUID } from 'node:crypto';
import type { Command } from 'commander';
import { brokerOf } from '../adapters.js';
import { MnerError } from '../errors.js';
import { type EntityRecord, entityRecordSchema } from '../ner/record.js';
import { silent } from '../telemetry/events.js';
import { formatRecord } from './entities.js';
import { numberOption } from './options.js';
import { printLine, say } from './print.js';
import { settingsOf } from './settings.js';
import { untilSignal } from './signals.js';

/** `mner tail`: reads the output topic until Ctrl-C, or until `--max` records came. Its group is its own and commits nothing. */
export async function tail(command: Command): Promise<void> {
  const { config } = settingsOf(command);
  const options = command.opts<{ fromBeginning?: boolean; max?: string; json?: boolean }>();
  const max = options.max === undefined ? Number.POSITIVE_INFINITY : numberOption('--max', options.max, 1, 1e12);
  const broker = brokerOf(config, silent);
  const consumer = broker.consumer({
    topics: [config.output_topic],
    group: `${config.group}-tail-${randomUUID()}`,
    from: options.fromBeginning ? 'earliest' : 'latest',
  });
  try {
    await broker.connect();
    if (!(await broker.partitions([config.output_topic])).has(config.output_topic)) {
      throw new MnerError('topic_missing', `The output topic ${config.output_topic} does not exist.`);
    }
    let left = max;
    const enough = new AbortController();
    let failure: MnerError | undefined;
    await consumer.start({
      assigned: () => {},
      revoked: () => {},
      failed: (error) => {
        failure = error;
        enough.abort();
      },
      records: async (records) => {
        for (const { value, partition, offset } of records) {
          if (value === null || left <= 0) continue;
          const record = readRecord(value);
          if (record === null) {
            say(`A record at offset ${offset} of partition ${partition} is not ours; it is left out.`);
            continue;
          }
          left--;
          await printLine(options.json ? JSON.stringify(record) : formatRecord(record));
        }
        if (left <= 0) enough.abort();
      },
    });
    const told = untilSignal(enough.signal);
    if (!options.json) say(`Reading ${config.output_topic}; Ctrl-C ends.`);
    await told;
    if (failure) throw failure;
  } finally {
    await broker.close();
  }
}

/** Null for what somebody else has written: a viewer must not fail for it. Fields that a newer version adds are kept. */
function readRecord(value: Buffer): EntityRecord | null {
  try {
    const record: unknown = JSON.parse(value.toString());
    return entityRecordSchema.safeParse(record).success ? (record as EntityRecord) : null;
  } catch {
    return null;
  }
}
