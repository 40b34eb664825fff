import { expect, it } from 'vitest';
import { MnerError } from '#mner/errors.js';
import { deadLetter } from '#mner/stream/dead-letter.js';
import { kafkaBroker } from '#mner/stream/kafka/broker.js';
import { memoryBroker } from '#mner/stream/memory.js';
import { redrive } from '#mner/stream/redrive.js';
import { record } from './records.js';
import { redriveConformance } from './redrive-conformance.js';

const brokers = process.env.MNER_TEST_BROKERS?.split(',').filter(Boolean) ?? [];

redriveConformance('the in-memory broker', { open: async () => memoryBroker() });
if (brokers.length > 0) redriveConformance('Kafka', { open: async () => kafkaBroker({ brokers }) });

it('leaves what has no key where the source has become compacted, and sends its neighbours back', async () => {
  const broker = memoryBroker();
  await broker.createTopics(['in', 'dead'].map((topic) => ({ topic, partitions: 1 })));
  broker.compact('in');
  for (const [offset, key] of [Buffer.from('k'), null, Buffer.from('k')].entries())
    broker.append('dead', deadLetter(record(offset, { topic: 'in', key }), new MnerError('bad_json')));
  const common = { broker, topic: 'dead', group: 'g', filter: {}, maxAttempts: 3, dryRun: false, timeoutMs: 10_000 };
  expect(await redrive(common)).toMatchObject({ sent: 2, left: { refused: 1, too_large: 0 } });
  expect(broker.read('in').map(({ value }) => String(value))).toEqual(['v0', 'v2']);
});
