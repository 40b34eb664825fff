import { randomUUID } from 'node:crypto';
import type { Command } from 'commander';
import { brokerOf } from '../adapters.js';
import type { MnerError } from '../errors.js';
import type { EntityRecord } from '../ner/record.js';
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
        for (const { value } of records) {
          if (value === null || left <= 0) continue;
          left--;
          const json = value.toString();
          await printLine(options.json ? json : formatRecord(JSON.parse(json) as EntityRecord));
        }
        if (left <= 0) enough.abort();
      },
    });
    if (!options.json) say(`Reading ${config.output_topic}; Ctrl-C ends.`);
    await untilSignal(enough.signal);
    if (failure) throw failure;
  } finally {
    await broker.close();
  }
}
