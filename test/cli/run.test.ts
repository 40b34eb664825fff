import { randomUUID } from 'node:crypto';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EntityRecord } from '#mner/ner/record.js';
import { kafkaBroker } from '#mner/stream/kafka/broker.js';
import type { Broker } from '#mner/stream/port.js';
import { plain, RED } from '../image/pictures.js';
import { inbox } from '../stream/inbox.js';
import { seen } from '../support/seen.js';
import { BROKERS, NO_SERVERS, TINY_BUNDLES, TINY_WITH_SERVERS } from '../support/servers.js';
import { mner, startWorker, type WorkerProcess } from '../support/worker-process.js';
import { childrenOf, commandOf, gone } from './processes.js';

const NOBODY = '127.0.0.1:1';
/** A start that cannot succeed has ended by then, in milliseconds, also on a busy machine. */
const PATIENCE_MS = 45_000;

describe.skipIf(NO_SERVERS)(`a worker that cannot start says why in one sentence${NO_SERVERS}`, () => {
  let folder: string;
  let taken: Server;
  const topics = { input: `in-${randomUUID()}`, output: `out-${randomUUID()}`, dead: `dead-${randomUUID()}` };
  /** Topics that exist, so that the worker comes as far as what is wrong. */
  const existing = () => ({
    MNER_INPUT_TOPIC: topics.input,
    MNER_OUTPUT_TOPIC: topics.output,
    MNER_DEAD_LETTER_TOPIC: topics.dead,
  });

  beforeAll(async () => {
    const broker = kafkaBroker({ brokers: BROKERS.split(',') });
    await broker.createTopics(Object.values(topics).map((topic) => ({ topic, partitions: 1 })));
    await broker.close();
    folder = mkdtempSync(join(tmpdir(), 'mner-run-'));
    for (const name of ['ham-tiny', 'vision-tiny'])
      cpSync(join(TINY_BUNDLES, name), join(folder, name), { recursive: true });
    const graph = join(folder, 'ham-tiny', 'model.onnx');
    const bytes = readFileSync(graph);
    const middle = bytes.length >> 1;
    bytes[middle] = (bytes[middle] as number) ^ 1;
    writeFileSync(graph, bytes);
    writeFileSync(join(folder, 'unknown.yaml'), 'inptu_topic: tweets\n');
    taken = createTcpServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  });
  afterAll(() => {
    taken.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const port = () => String((taken.address() as AddressInfo).port);

  it.concurrent.for<Case>([
    [
      'fault 17: topics that are missing at the start',
      4,
      /topics nowhere-in, nowhere-out, nowhere-dead do not exist\. Create what is missing: `mner topics --create`\.$/,
      none,
      () => ({
        MNER_INPUT_TOPIC: 'nowhere-in',
        MNER_OUTPUT_TOPIC: 'nowhere-out',
        MNER_DEAD_LETTER_TOPIC: 'nowhere-dead',
      }),
    ],
    [
      'a broker that is not there',
      4,
      /Cannot reach Kafka at 127\.0\.0\.1:1\b.* Check `MNER_BROKERS` /,
      none,
      () => ({ MNER_BROKERS: NOBODY }),
    ],
    [
      'a Redis that is not there',
      4,
      /Redis.*127\.0\.0\.1:1\b/,
      () => ['--redis-url', `redis://:hunter2@${NOBODY}`],
      existing,
    ],
    [
      'a bundle with another checksum',
      3,
      /ham-tiny.*model\.onnx does not have the SHA-256 of the manifest/,
      none,
      () => ({ ...existing(), MNER_MODELS_DIR: folder }),
    ],
    [
      'a bundle that is missing',
      3,
      /no bundle nosuch in .*; there is ham-tiny, vision-tiny/,
      none,
      () => ({ ...existing(), MNER_BUNDLE: 'nosuch' }),
    ],
    [
      'fault 50: an unknown key in the file',
      2,
      /inptu_topic in .*unknown\.yaml is unknown; did you mean input_topic\?/,
      () => ['--config', join(folder, 'unknown.yaml')],
      empty,
    ],
    [
      'fault 50: an unknown variable',
      2,
      /variable MNER_INPTU_TOPIC is unknown; did you mean MNER_INPUT_TOPIC\?/,
      none,
      () => ({ MNER_INPTU_TOPIC: 'x' }),
    ],
    [
      'fault 50: an unknown flag',
      2,
      /flag --inptu-topic is unknown; did you mean --input-topic\?/,
      () => ['--inptu-topic=x'],
      empty,
    ],
    [
      'fault 50: a bad value',
      2,
      /MNER_HTTP_PORT is "banana", but must be a whole number from 0 to 65535/,
      none,
      () => ({ MNER_HTTP_PORT: 'banana' }),
    ],
    [
      'fault 50: a configuration file that is missing',
      2,
      /configuration file nowhere\.yaml cannot be read: it does not exist/,
      () => ['--config', 'nowhere.yaml'],
      empty,
    ],
    [
      'a port in use',
      2,
      /HTTP port \d+ on 127\.0\.0\.1 is taken; choose another with MNER_HTTP_PORT/,
      none,
      () => ({ MNER_HTTP_PORT: port() }),
    ],
    [
      'fault 50: exactly_once with transactions that outlast a session',
      2,
      /transaction_timeout_ms \(40000\) must be less than session_timeout_ms \(30000\), since /,
      none,
      () => ({ MNER_DELIVERY: 'exactly_once', MNER_TRANSACTION_TIMEOUT_MS: '40000' }),
    ],
    [
      'fault 50: a secret whose file is missing',
      2,
      /MNER_REDIS_URL_FILE/,
      none,
      () => ({ MNER_REDIS_URL: '', MNER_REDIS_URL_FILE: '/nowhere/redis' }),
    ],
  ])('%s: exit code %i', { timeout: 60_000 }, async ([what, code, says, args, env], { expect, task }) => {
    const began = performance.now();
    const ended = await mner(['run', ...args()], { env: { ...TINY_WITH_SERVERS, MNER_HTTP_PORT: '0', ...env() } });
    expect(performance.now() - began).toBeLessThan(PATIENCE_MS);
    expect(ended.code).toBe(code);
    expect(ended.stdout).toBe('');
    const sentences = ended.stderr.split('\n').filter((line) => line !== '' && !line.startsWith('{'));
    expect(sentences).toEqual([expect.stringMatching(/^mner: .*[.?]$/)]);
    expect(sentences[0]).toMatch(says);
    expect(ended.stderr).not.toMatch(/^ {4}at /m);
    expect(ended.stderr).not.toContain('hunter2');
    seen(task, `${what.replace(/^fault \d+: /, '')}: exit code ${code}, one sentence that names it`);
  });
});

describe.skipIf(NO_SERVERS)(`SIGTERM under load${NO_SERVERS}`, { timeout: 120_000 }, () => {
  const PARTITIONS = 3;
  /** More than a lane has in process at once, so that some are left to the next worker. */
  const TWEETS = PARTITIONS * 700;
  const run = randomUUID().slice(0, 8);
  const topics = { input: `in-${run}`, output: `out-${run}`, dead: `dead-${run}` };
  const group = `group-${run}`;
  const outputs = inbox();
  let broker: Broker;
  let origin: Gate;
  let workers: WorkerProcess[];
  const start = async () => {
    const worker = await startWorker({
      ...TINY_WITH_SERVERS,
      MNER_GROUP: group,
      MNER_INPUT_TOPIC: topics.input,
      MNER_OUTPUT_TOPIC: topics.output,
      MNER_DEAD_LETTER_TOPIC: topics.dead,
      MNER_IMAGE_ALLOW: origin.origin,
      MNER_IMAGE_BUDGET_MS: '100000',
      MNER_IMAGE_FETCH_TIMEOUT_MS: '60000',
      // What waits for its picture is finished in the first half of a drain, however busy the machine is.
      MNER_DRAIN_TIMEOUT_MS: '100000',
      MNER_SESSION_TIMEOUT_MS: '110000',
    });
    workers.push(worker);
    return worker;
  };

  beforeAll(async () => {
    workers = [];
    origin = await gate(await plain(RED).jpeg().toBuffer());
    broker = kafkaBroker({ brokers: BROKERS.split(',') });
    await broker.createTopics(Object.values(topics).map((topic) => ({ topic, partitions: PARTITIONS })));
    await broker.consumer({ topics: [topics.output], group: `reader-${run}` }).start(outputs);
  });
  afterAll(async () => {
    await Promise.all(workers.map((worker) => worker.stop('SIGKILL')));
    await broker?.close();
    await origin?.stop();
  });

  const send = async (count: number, path: string) => {
    const producer = await broker.producer();
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const records = Array.from({ length: count / PARTITIONS }, (_, i) => ({
        key: null,
        value: Buffer.from(
          JSON.stringify({
            id: `${path}-${partition}-${i}`,
            text: 'Kobe Bryant',
            media: [{ type: 'photo', url: `http://${origin.origin}/${path}-${run}.jpg` }],
          }),
        ),
        headers: [],
      }));
      await producer.send({ topic: topics.input, partition }, records);
    }
    await producer.stop();
  };
  const seen = () => outputs.records.all.map(({ value }) => JSON.parse(String(value)) as EntityRecord);

  it('becomes unready first, finishes what was begun, commits all of it, and exits with 0', async () => {
    const worker = await start();
    await send(TWEETS, 'first');
    await origin.asked(1);
    const stopped = worker.stop('SIGTERM');
    expect(await unready(worker)).toEqual({ ok: false, reasons: ['The worker is draining.'] });
    expect((await fetch(`${worker.url}/livez`)).status).toBe(200);
    expect(outputs.records.all).toEqual([]);
    origin.open();
    expect(await stopped).toBe(0);

    const committed = (await broker.offsets(topics.input, group)).map((one) => Number(one.committed ?? 0));
    const begun = committed.reduce((sum, offset) => sum + offset, 0);
    expect(begun).toBeGreaterThan(0);
    expect(begun).toBeLessThan(TWEETS);
    await outputs.until(({ records }) => records.all.length >= begun);
    const offsets = new Set(seen().map(({ source }) => `${source.partition}/${source.offset}`));
    const wanted = committed.flatMap((end, partition) => Array.from({ length: end }, (_, i) => `${partition}/${i}`));
    expect(offsets).toEqual(new Set(wanted));
    expect(outputs.records.all).toHaveLength(begun);
  });

  it('leaves the rest to the next worker: nothing is lost, nothing comes twice', async () => {
    await start();
    await outputs.until(({ records }) => records.all.length >= TWEETS);
    expect(new Set(seen().map(({ tweet_id }) => tweet_id)).size).toBe(TWEETS);
    expect(outputs.records.all).toHaveLength(TWEETS);
  });

  it('leaves at once at the second SIGTERM, and takes its inference process along', async () => {
    const worker = workers.at(-1) as WorkerProcess;
    origin.close();
    const before = origin.requests();
    await send(PARTITIONS, 'second');
    await origin.asked(before + 1);
    const children = childrenOf(worker.pid);
    expect(children.filter((pid) => commandOf(pid).includes('host-child'))).toHaveLength(1);
    const stopped = worker.stop('SIGTERM');
    await unready(worker);
    void worker.stop('SIGTERM');
    expect(await stopped).toBe(143);
    await gone(children);
    expect(outputs.records.all).toHaveLength(TWEETS);
  });
});

/** Asks until the worker says that it is not ready; gives its answer. */
async function unready({ url }: WorkerProcess): Promise<unknown> {
  for (;;) {
    const response = await fetch(`${url}/readyz`);
    if (response.status === 503) return response.json();
    await response.arrayBuffer();
  }
}

/** An origin that holds its answers back until it is opened. */
interface Gate {
  readonly origin: string;
  requests(): number;
  /** Resolves when that many requests have come. */
  asked(count: number): Promise<void>;
  open(): void;
  close(): void;
  stop(): Promise<void>;
}

async function gate(picture: Buffer): Promise<Gate> {
  let shut = true;
  let requests = 0;
  let news = () => {};
  const held: (() => void)[] = [];
  const server = createServer((_request, response) => {
    requests++;
    news();
    const answer = () => response.writeHead(200, { 'content-type': 'image/jpeg' }).end(picture);
    if (shut) held.push(answer);
    else answer();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    origin: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: () => requests,
    async asked(count) {
      while (requests < count)
        await new Promise<void>((resolve) => {
          news = resolve;
        });
    },
    open() {
      shut = false;
      for (const answer of held.splice(0)) answer();
    },
    close() {
      shut = true;
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

type Case = [
  what: string,
  code: number,
  says: RegExp,
  args: () => string[],
  env: () => Readonly<Record<string, string>>,
];

function none(): string[] {
  return [];
}

function empty(): Record<string, string> {
  return {};
}
