// A worker without models, for the faults that need a process to kill: `node exactly-once-member.mjs '{…}'`. It writes one line when
// it has joined and one for each note; SIGTERM drains it.
import { systemClock } from '#mner/clock.js';
import { MnerError } from '#mner/errors.js';
import { exactlyOnce } from '#mner/stream/exactly-once.js';
import { kafkaBroker } from '#mner/stream/kafka/broker.js';
import { createLanes } from '#mner/stream/lanes.js';

const { brokers, group, input, output, dead, sessionTimeoutMs, timeoutMs, recordMs } = JSON.parse(process.argv[2]);
const say = (line) => process.stdout.write(`${line}\n`);
const emit = (event) => {
  if (event.type === 'note') say(`${event.level}: ${event.message}`);
  if (event.type === 'transaction') say(event.result);
};
const broker = kafkaBroker({ brokers, emit });
await broker.connect();
const counts = await broker.partitions([output, dead]);
const consumer = broker.consumer({ topics: [input], group, sessionTimeoutMs });

/** Every twentieth is poison. */
const work = async ({ offset, value }) => {
  await new Promise((resolve) => systemClock.after(recordMs * (0.5 + Math.random()), resolve));
  if (offset % 20n === 7n) return { kind: 'dead_letter', error: new MnerError('bad_json', 'Not JSON.') };
  return { kind: 'output', value, headers: [] };
};

const lanes = createLanes({
  consumer,
  process: work,
  delivery: exactlyOnce({
    ...{ broker, consumer, group, timeoutMs, emit },
    topics: { output, deadLetters: dead },
    partitionsOf: (topic) => counts.get(topic),
  }),
  failed(error) {
    say(`failed: ${error.message}`);
    process.exit(1);
  },
  limits: { laneRecords: () => 16, commitEveryMs: 50, commitEveryRecords: 200 },
  emit,
});
// The clock's timers do not keep a process alive.
setInterval(() => {}, 60_000);
process.once('SIGTERM', async () => {
  let code = 0;
  try {
    await lanes.drain(3000);
  } catch {
    code = 6;
  }
  await lanes.stop();
  await broker.close();
  process.exit(code);
});
await lanes.start();
say('joined');
