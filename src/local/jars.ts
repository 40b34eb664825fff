import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rename, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MnerError } from '../errors.js';
import { spawnGuarded } from './process.js';
import { provideTool } from './tools.js';

export interface JarsOptions {
  /** Folder that is kept between runs. @default `mner-stream/kafka-4.3.1` in `$XDG_CACHE_HOME` or `~/.cache` */
  cache?: string;
  /** What to call with a line of progress. @default nothing */
  say?: (line: string) => void;
}

export interface Jars {
  /** The folder that is kept between runs. */
  readonly cache: string;
  /** Whole paths, in the order of the list of checksums. */
  readonly paths: readonly string[];
}

/** Jars that are listed, fetched and kept together. */
interface JarSet {
  /** Folder in the cache. */
  readonly folder: string;
  /** In `deploy/kafka`: what Maven copies. */
  readonly pom: string;
  /** In `deploy/kafka`: the checksums. */
  readonly list: string;
  readonly size: string;
}

const BROKER: JarSet = { folder: 'jars', pom: 'pom.xml', list: 'jars.sha256', size: '44 MB' };
const TOOLS: JarSet = { folder: 'tools', pom: 'tools.xml', list: 'tools.sha256', size: '1 MB' };

/**
 * The jars of Apache Kafka, each checked against `deploy/kafka/jars.sha256`. What the cache lacks is fetched by Maven, in the
 * versions of `deploy/kafka/pom.xml`.
 *
 * @throws MnerError `bad_download` when a jar is missing or is not the one of the list; `missing_tool` without Maven, or
 *   when Maven cannot fetch
 */
export function kafkaJars(options: JarsOptions = {}): Promise<Jars> {
  return provide(BROKER, options);
}

/**
 * As {@link kafkaJars}, and behind them the jar of Kafka's command-line tools. A set of its own, since only tests need it.
 *
 * @throws MnerError as {@link kafkaJars}
 */
export async function kafkaToolJars(options: JarsOptions = {}): Promise<Jars> {
  const broker = await provide(BROKER, options);
  const tools = await provide(TOOLS, options);
  return { cache: broker.cache, paths: [...broker.paths, ...tools.paths] };
}

async function provide(set: JarSet, options: JarsOptions): Promise<Jars> {
  const cache =
    options.cache ?? join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'mner-stream', 'kafka-4.3.1');
  const folder = join(cache, set.folder);
  const list = await checksums(set);
  if (!(await isFolder(folder))) await fetchJars(set, cache, folder, list, options.say ?? (() => {}));
  await verify(set, folder, list, folder);
  return { cache, paths: list.map(({ name }) => join(folder, name)) };
}

/** Folder of this repository with what a local Kafka is made from. */
export const KAFKA_DEPLOY = fileURLToPath(new URL('../../deploy/kafka/', import.meta.url));

interface Checksum {
  readonly name: string;
  readonly sha256: string;
}

async function checksums(set: JarSet): Promise<Checksum[]> {
  const text = await readFile(join(KAFKA_DEPLOY, set.list), 'utf8');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [sha256 = '', name = ''] = line.split(/\s+/);
      return { name, sha256 };
    });
}

/**
 * Two processes may do this at once: each fetches into a folder of its own, checks it, and renames it. The first rename wins; the
 * other fails because the target is not empty, and its process uses the winner's folder, which was checked as well.
 */
async function fetchJars(
  set: JarSet,
  cache: string,
  folder: string,
  list: Checksum[],
  say: (line: string) => void,
): Promise<void> {
  const maven = await provideTool('mvn', 'maven', say);
  say(`fetching Kafka by Maven, once (${set.size}, kept in ${cache})`);
  await mkdir(cache, { recursive: true });
  const own = await mkdtemp(join(cache, 'fetch-'));
  try {
    const goal = ['dependency:copy-dependencies', '-DincludeScope=runtime', `-DoutputDirectory=${own}`];
    const run = await spawnGuarded(maven, ['-B', '-q', '-f', join(KAFKA_DEPLOY, set.pom), ...goal]);
    if ((await run.ended) !== 0) {
      const reason = run.tail().find((line) => line.includes('ERROR')) ?? run.tail().pop() ?? 'it said nothing';
      throw new MnerError(
        'missing_tool',
        `Maven could not fetch the jars of Kafka; connect to the network once: ${reason}`,
      );
    }
    await verify(set, own, list, cache);
    await rename(own, folder).catch(async (error: unknown) => {
      if (!(await isFolder(folder))) throw error;
    });
  } finally {
    await rm(own, { recursive: true, force: true });
  }
}

async function verify(set: JarSet, folder: string, list: Checksum[], toDelete: string): Promise<void> {
  await Promise.all(
    list.map(async ({ name, sha256 }) => {
      const bytes = await readFile(join(folder, name)).catch(() => null);
      const problem = !bytes
        ? 'is missing'
        : createHash('sha256').update(bytes).digest('hex') !== sha256 &&
          `does not have the checksum of deploy/kafka/${set.list}`;
      if (problem)
        throw new MnerError('bad_download', `Kafka's ${name} ${problem}: delete ${toDelete}, and it is fetched again.`);
    }),
  );
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (entry) => entry.isDirectory(),
    () => false,
  );
}
