import { systemClock } from '../../../clock.js';
import { memoryCache } from '../../../image/cache/memory.js';
import { memoryBroker } from '../../../stream/memory.js';
import type { Event } from '../../../telemetry/events.js';
import { createTelemetry } from '../../../telemetry/telemetry.js';
import { startWorker } from '../../../worker.js';
import { alternate, type Side } from '../alternate.js';
import { fromSamples, type Measured } from '../figure.js';
import { brief, type Lab } from '../lab.js';
import { textValues } from '../values.js';

/** `padding_share`: the worker with its real inference process, on a broker in memory that holds more than it can keep up with. */
export async function padding(lab: Lab): Promise<Measured> {
  const { config, set } = lab;
  const values = textValues(lab);
  const broker = memoryBroker();
  const topics = [config.input_topic, config.output_topic, config.dead_letter_topic];
  await broker.createTopics(topics.map((topic) => ({ topic, partitions: 12 })));
  const telemetry = createTelemetry({ log: { level: 'warn' }, nodeMetrics: false });
  const tokens = { real: 0, all: 0 };
  const emit = (event: Event) => {
    if (event.type === 'batch') {
      tokens.real += event.tokens;
      tokens.all += event.tokens / (1 - event.padding);
    }
    telemetry.emit(event);
  };
  const worker = await startWorker(
    { ...config, mentions_topic: null },
    { ...telemetry, emit },
    { broker, cache: memoryCache() },
  );
  const samples: number[] = [];
  const side: Side = {
    name: 'worker',
    warmed() {
      samples.length = 0;
    },
    async run(passes) {
      tokens.real = 0;
      tokens.all = 0;
      const start = systemClock.now();
      const wanted = passes * values.length;
      await new Promise<void>((resolve, reject) => {
        let out = 0;
        const off = broker.onAppend(config.output_topic, (records) => {
          out += records.length;
          if (out < wanted) return;
          off();
          resolve();
        });
        worker.failed.catch(reject);
        for (let i = 0; i < wanted; i++) {
          broker.append(config.input_topic, { partition: i % 12, value: values[i % values.length] as Buffer });
        }
      });
      samples.push(1 - tokens.real / tokens.all);
      return (systemClock.now() - start) / 1000;
    },
  };
  try {
    await alternate([side], { ...lab, seconds: brief(lab).seconds, tweets: set.length });
    return fromSamples(samples);
  } finally {
    await worker.stop();
    telemetry.stop();
  }
}
