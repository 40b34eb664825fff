import type { Command } from 'commander';
import { brokerOf, redisOf } from '../adapters.js';
import type { Config } from '../config/schema.js';
import { asMnerError, inFull, MnerError } from '../errors.js';
import { createProcessHost } from '../inference/host-process.js';
import { hostOptions, loadModels } from '../models.js';
import { testAll } from '../serving/tested-host.js';
import type { Broker } from '../stream/port.js';
import { silent } from '../telemetry/events.js';
import { colour, formatTable, printLine } from './print.js';
import { settingsOf } from './settings.js';
import { topicsOf } from './topics.js';

interface Finding {
  readonly what: string;
  readonly ok: boolean;
  readonly detail: string;
}

/** `mner check`: tries everything that a worker needs, and goes on where something fails, so that one run tells all. */
export async function check(command: Command): Promise<void> {
  const findings = await findAll(command);
  const { json } = command.opts<{ json?: boolean }>();
  await printLine(
    json
      ? JSON.stringify(findings)
      : formatTable(findings, [
          { title: '', of: (row) => (row.ok ? colour(32, 'ok') : colour(31, 'no')) },
          { title: 'WHAT', of: (row) => row.what },
          { title: 'DETAIL', of: (row) => row.detail },
        ]),
  );
  if (findings.some((finding) => !finding.ok)) process.exitCode = 1;
}

async function findAll(command: Command): Promise<Finding[]> {
  let config: Config;
  try {
    config = settingsOf(command).config;
  } catch (error) {
    return [{ what: 'configuration', ok: false, detail: inFull(asMnerError(error)) }];
  }
  return [
    { what: 'configuration', ok: true, detail: 'every key is known and fits the others' },
    ...(await checkBroker(config)),
    await attempt('redis', () => checkRedis(config)),
    ...(await checkModels(config)),
  ];
}

async function checkBroker(config: Config): Promise<Finding[]> {
  let opened: Broker | undefined;
  try {
    const reached = await attempt('broker', async () => {
      opened = brokerOf(config, silent); // Reads certificates, secrets and tokens, which may fail as well.
      await opened.connect();
      return config.brokers.join(', ');
    });
    if (!reached.ok || !opened) return [reached];
    const broker = opened;
    const wanted = topicsOf(config);
    let found: ReadonlyMap<string, number> = new Map();
    const listed = await attempt('topics', async () => {
      found = await broker.partitions(wanted.map(({ topic }) => topic));
      return '';
    });
    if (!listed.ok) return [reached, listed];
    return [
      reached,
      ...wanted.map(({ topic, use }) => {
        const partitions = found.get(topic);
        const detail =
          partitions === undefined ? 'missing; `mner topics --create` makes it' : `${partitions} partitions`;
        return { what: `topic ${topic} (${use})`, ok: partitions !== undefined, detail };
      }),
    ];
  } finally {
    await opened?.close();
  }
}

async function checkRedis(config: Config): Promise<string> {
  if (config.redis_url === null) return 'turned off; each worker remembers pictures by itself';
  const cache = redisOf(config, config.redis_url, silent);
  try {
    await cache.connect();
    return 'answers';
  } finally {
    await cache.stop();
  }
}

async function checkModels(config: Config): Promise<Finding[]> {
  let loaded: Awaited<ReturnType<typeof loadModels>> | undefined;
  const bundle = await attempt('bundle', async () => {
    loaded = await loadModels(config);
    const { ner, vision } = loaded;
    return [ner, ...(vision ? [vision] : [])].map(({ manifest }) => `${manifest.name} ${manifest.version}`).join(', ');
  });
  if (!loaded) return [bundle];
  const models = loaded;
  const provider = await attempt('execution provider', async () => {
    const host = createProcessHost({ ...hostOptions(config), models: models.hosted });
    try {
      await host.start();
      if (host.provider !== config.providers[0]) {
        throw new MnerError(
          'provider_unavailable',
          `${config.providers[0]} cannot start here; ${host.provider} would run.`,
        );
      }
      await testAll(models, host);
      return `${host.provider}, ${config.threads} threads`;
    } finally {
      await host.stop();
    }
  });
  return [bundle, provider];
}

async function attempt(what: string, run: () => Promise<string>): Promise<Finding> {
  try {
    return { what, ok: true, detail: await run() };
  } catch (error) {
    return { what, ok: false, detail: inFull(asMnerError(error)) };
  }
}
