import type { Command } from 'commander';
import type { LoadedConfig } from '../config/load.js';
import { MnerError } from '../errors.js';
import { memoryCache } from '../image/cache/memory.js';
import type { Explained } from '../pipeline.js';
import { headerText } from '../stream/headers.js';
import { type MemoryBroker, memoryBroker } from '../stream/memory.js';
import type { InputRecord } from '../stream/port.js';
import { createTelemetry } from '../telemetry/telemetry.js';
import { parseTweet } from '../tweet/parse.js';
import { startWorker } from '../worker.js';
import { formatResult } from './entities.js';
import { type InputLine, readLines } from './lines.js';
import { pictureUrl } from './picture-url.js';
import { printLine } from './print.js';
import { patientSettingsOf } from './settings.js';
import { topicsOf } from './topics.js';

/** Lines that are on their way at once: enough for full batches, few enough for little memory. */
const AHEAD = 512;

/** `mner extract`: the worker of `mner run`, with a broker in memory: lines go in as records, records come out as lines. */
export async function extract(file: string, command: Command): Promise<void> {
  const loaded = patientSettingsOf(command, { replay_topic: null, retry_topic: null, image_missing: 'text' });
  const options = command.opts<{ text?: string; image?: string; pretty?: boolean; explain?: boolean }>();
  if (options.image !== undefined && options.text === undefined) {
    throw new MnerError('bad_input', '--image goes with --text.');
  }
  const lines = options.text === undefined ? readLines(file) : oneTweet(options.text, options.image);
  const print = options.pretty ? printPretty : printJson;
  const broker = memoryBroker();
  const topics = topicsOf(loaded.config).map(({ topic }) => topic);
  await broker.createTopics(topics.map((topic) => ({ topic, partitions: 1 })));
  const telemetry = createTelemetry({
    log: { level: quiet(loaded), format: loaded.config.log_format },
    nodeMetrics: false,
  });
  const cache = memoryCache({ maxBytes: Math.max(1, loaded.config.cache_memory_bytes) });
  const explain = options.explain === true;
  const worker = await startWorker(loaded.config, telemetry, { broker, cache, allowFiles: true, explain });
  try {
    await Promise.race([pump(broker, topics, lines, print), worker.failed]);
  } finally {
    await worker.stop();
    telemetry.stop();
  }
}

/** What came of a line: the output record, or the error in its place. */
type Result =
  | Explained
  | { readonly error: { readonly code: string; readonly message: string }; readonly line: number };
type Print = (line: InputLine, result: Result) => Promise<void>;

/** Keeps {@link AHEAD} lines on their way and prints what comes of them in the order of the lines. */
async function pump(
  broker: MemoryBroker,
  [input, output, deadLetters, ...others]: readonly string[],
  lines: AsyncIterable<InputLine> | readonly InputLine[],
  print: Print,
): Promise<void> {
  const results = new Map<bigint, Omit<InputRecord, 'offset'>>();
  const news = bell();
  const room = bell();
  const collect = (records: readonly InputRecord[]) => {
    for (const record of records) results.set(sourceOffset(record), record);
    news.ring();
  };
  for (const topic of [output, deadLetters] as string[]) {
    broker.onAppend(topic, (records) => {
      collect(records);
      broker.trim(topic, 0, (records.at(-1)?.offset ?? -1n) + 1n);
    });
  }
  for (const topic of others)
    broker.onAppend(topic, (records) => broker.trim(topic, 0, (records.at(-1)?.offset ?? -1n) + 1n));

  const waiting: { readonly line: InputLine; readonly offset: bigint }[] = [];
  let ended = false;
  const readAll = async () => {
    try {
      for await (const line of lines) {
        waiting.push({ line, offset: broker.append(input as string, { value: line.bytes }) });
        while (waiting.length >= AHEAD) await room.next();
      }
    } finally {
      ended = true;
      news.ring();
    }
  };
  const reading = readAll();
  // Heard at the end: lines that came before a read error are printed first.
  reading.catch(() => {});
  // Not in step with the reading, since a line may be the last one for a long time: `tail -f tweets.ndjson | mner extract`.
  while (!ended || waiting.length > 0) {
    const [first] = waiting;
    const record = first && results.get(first.offset);
    if (!record) {
      await news.next();
      continue;
    }
    waiting.shift();
    room.ring();
    results.delete(first.offset);
    broker.trim(input as string, 0, first.offset + 1n);
    await print(first.line, resultOf(first.line, record));
  }
  await reading;
}

/** Wakes the one who waits for the next ring. */
function bell(): { ring(): void; next(): Promise<void> } {
  let wake = () => {};
  return {
    ring: () => wake(),
    next: () =>
      new Promise((resolve) => {
        wake = resolve;
      }),
  };
}

/** The input offset that an output or a dead letter came from. */
function sourceOffset({ headers }: InputRecord): bigint {
  const text = headerText(headers, 'mner-source-offset') ?? headerText(headers, 'mner-source')?.split('/').at(-1);
  return BigInt(text ?? -1);
}

function resultOf({ number }: InputLine, { headers, value }: Omit<InputRecord, 'offset'>): Result {
  const code = headerText(headers, 'mner-error-code');
  if (code === undefined) return JSON.parse(String(value)) as Explained;
  return { error: { code, message: headerText(headers, 'mner-error-message') ?? '' }, line: number };
}

const printJson: Print = (_line, result) => printLine(JSON.stringify(result));

const printPretty: Print = (line, result) =>
  printLine(
    'error' in result
      ? `line ${line.number}: ${result.error.code}: ${result.error.message}`
      : formatResult(parseTweet(line.bytes).text, result),
  );

function oneTweet(text: string, image: string | undefined): InputLine[] {
  const media = image === undefined ? [] : [{ type: 'photo', url: pictureUrl(image) }];
  return [{ number: 1, bytes: Buffer.from(JSON.stringify({ id: '1', text, media })) }];
}

/** Results are what people want to see here, so logs begin at warnings unless they ask for more. */
function quiet({ config, origins }: LoadedConfig): LoadedConfig['config']['log_level'] {
  return origins.log_level === 'default' ? 'warn' : config.log_level;
}
