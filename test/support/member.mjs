// A worker without models, for the faults that need a process to kill: `node member.mjs '{…}'`, with the settings of member.ts. It
// writes one line of JSON for each thing that happens. On its standard input, `hold` makes its work wait from then on, as if a model
// hung (it says `held` at the first record that waits), and `go` lets it go on. SIGTERM drains it, a second one ends it.
import { createInterface } from 'node:readline';
import { systemClock } from '#mner/clock.js';
import { ERRORS, MnerError } from '#mner/errors.js';
import { atLeastOnce } from '#mner/stream/at-least-once.js';
import { exactlyOnce } from '#mner/stream/exactly-once.js';
import { kafkaBroker } from '#mner/stream/kafka/broker.js';
import { createLanes } from '#mner/stream/lanes.js';

const settings = JSON.parse(process.argv[2]);
const { name, brokers, group, input, output, dead, delivery } = settings;
const { sessionTimeoutMs, timeoutMs, recordMs, drainMs, commitEveryMs, laneRecords } = settings;
const say = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);
const emit = (event) => {
  if (['note', 'transaction', 'rebalance', 'lane_lost'].includes(event.type)) say(event);
};

let gate = null;
let held = false;
let open = () => {};
createInterface({ input: process.stdin }).on('line', (line) => {
  if (line === 'hold')
    gate ??= new Promise((resolve) => {
      open = resolve;
    });
  if (line === 'go') {
    open();
    gate = null;
    held = false;
  }
  say({ type: 'told', line });
});

const broker = kafkaBroker({ brokers, clientId: name, emit });
await broker.connect();
const counts = await broker.partitions([output, dead]);
const partitionsOf = (topic) => counts.get(topic);
const bare = broker.consumer({ topics: [input], group, sessionTimeoutMs });
/** Says what the group gives it. */
const consumer = {
  ...bare,
  start: (handlers) =>
    bare.start({
      ...handlers,
      assigned(partitions) {
        say({ type: 'assigned', partitions: partitions.map(({ partition }) => partition) });
        handlers.assigned(partitions);
      },
    }),
};
const topics = { output, deadLetters: dead };

/** Every twentieth is poison. Each outcome names who made it. */
const work = async ({ offset, value }) => {
  if (gate) {
    if (!held) say({ type: 'held' });
    held = true;
    await gate;
  }
  if (recordMs > 0) await new Promise((resolve) => systemClock.after(recordMs * (0.5 + Math.random()), resolve));
  if (offset % 20n === 7n) return { kind: 'dead_letter', error: new MnerError('bad_json', 'Not JSON.') };
  return { kind: 'output', value, headers: [['made-by', Buffer.from(name)]] };
};

let fetched = 0;
const lanes = createLanes({
  consumer,
  process: (record) => {
    fetched += 1;
    if (fetched === 1) say({ type: 'working' });
    return work(record);
  },
  delivery:
    delivery === 'exactly_once'
      ? exactlyOnce({ broker, consumer, group, timeoutMs, emit, topics, partitionsOf })
      : atLeastOnce({ producer: await broker.producer(), emit, topics, partitionsOf }),
  failed(error) {
    say({ type: 'failed', code: error.code, message: error.message });
    process.exit(ERRORS[error.code].exit);
  },
  limits: { laneRecords: () => laneRecords, commitEveryMs, commitEveryRecords: 200 },
  emit,
});

// The clock's timers do not keep a process alive.
setInterval(() => {}, 60_000);
process.once('SIGTERM', async () => {
  process.once('SIGTERM', () => process.exit(143));
  say({ type: 'draining' });
  let code = 0;
  try {
    await lanes.drain(drainMs);
  } catch (error) {
    say({ type: 'note', level: 'error', message: error.message });
    code = ERRORS[error.code].exit;
  }
  await lanes.stop();
  await broker.close();
  process.exit(code);
});
await lanes.start();
say({ type: 'joined' });
