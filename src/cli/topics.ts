import type { Command } from 'commander';
import { brokerOf } from '../adapters.js';
import type { Config } from '../config/schema.js';
import { MnerError } from '../errors.js';
import { silent } from '../telemetry/events.js';
import { numberOption } from './options.js';
import { formatTable, printLine } from './print.js';
import { settingsOf } from './settings.js';

/** The topics that a worker with this configuration uses, and what for. */
export function topicsOf(config: Config): { topic: string; use: string }[] {
  return [
    { topic: config.input_topic, use: 'input' },
    { topic: config.output_topic, use: 'output' },
    { topic: config.dead_letter_topic, use: 'dead letters' },
    ...(config.mentions_topic === null ? [] : [{ topic: config.mentions_topic, use: 'mentions' }]),
    ...(config.replay_topic === null ? [] : [{ topic: config.replay_topic, use: 'replay' }]),
    ...(config.retry_topic === null ? [] : [{ topic: config.retry_topic, use: 'retry' }]),
  ];
}

/** `mner topics`: whether each topic is there; with `--create` it makes those that are not. */
export async function topics(command: Command): Promise<void> {
  const { config } = settingsOf(command);
  const options = command.opts<{ create?: boolean; partitions: string; replicas: string; json?: boolean }>();
  const partitions = numberOption('--partitions', options.partitions, 1, 10_000);
  const replicas = numberOption('--replicas', options.replicas, 1, 32);
  const wanted = topicsOf(config);
  const broker = brokerOf(config, silent);
  try {
    await broker.connect();
    const created = options.create
      ? await broker.createTopics(wanted.map(({ topic }) => ({ topic, partitions, replicas })))
      : [];
    const found = await broker.partitions(wanted.map(({ topic }) => topic));
    const rows = wanted.map(({ topic, use }) => ({
      topic,
      use,
      partitions: found.get(topic) ?? 0,
      state: created.includes(topic) ? 'created' : found.has(topic) ? 'there' : 'missing',
    }));
    await printLine(
      options.json
        ? JSON.stringify(rows)
        : formatTable(rows, [
            { title: 'TOPIC', of: (row) => row.topic },
            { title: 'USE', of: (row) => row.use },
            { title: 'PARTITIONS', of: (row) => row.partitions, align: 'right' },
            { title: 'STATE', of: (row) => row.state },
          ]),
    );
    const missing = rows.filter((row) => row.state === 'missing').map((row) => row.topic);
    if (missing.length > 0) {
      throw new MnerError('topic_missing', `Missing: ${missing.join(', ')}.`);
    }
  } finally {
    await broker.close();
  }
}
