import { mkdir, mkdtemp, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { MnerError } from '../errors.js';
import { type JarsOptions, kafkaJars } from './jars.js';
import { kafkaUuid, type Runtime, runKafkaClass, started, writeProperties } from './kafka-node.js';
import { withFreePorts } from './ports.js';
import { findJava } from './tools.js';

/** All that it takes to start a broker in about two seconds. */
export interface KafkaKit extends Runtime {
  /** `bootstrap.checkpoint` of a formatted folder: the feature levels of this version of Kafka. The same for every node. */
  readonly checkpoint: string;
}

/**
 * Checks the jars, and prepares once for each Java what the cache then keeps: a formatted folder's checkpoint, and an archive of the
 * classes that a broker loads, which more than halves its start.
 *
 * @throws MnerError `missing_tool`, `bad_download`, `local_server`
 */
export async function kafkaKit(options: JarsOptions = {}): Promise<KafkaKit> {
  const java = await findJava(); // First: without it, there is no need to fetch.
  const jars = await kafkaJars(options);
  const runtime: Runtime = { java: java.path, jars: jars.paths, archive: null };
  const folder = join(jars.cache, `java-${java.build}`);
  const checkpoint = join(folder, CHECKPOINT);
  if (!(await exists(checkpoint))) {
    options.say?.('preparing Kafka for quick starts, once');
    await prepare(runtime, jars.cache, folder);
  }
  const archive = join(folder, ARCHIVE);
  return { ...runtime, checkpoint, archive: (await exists(archive)) ? archive : null };
}

const CHECKPOINT = 'bootstrap.checkpoint';
const ARCHIVE = 'classes.jsa';

/** As with the jars: in a folder of its own, then renamed; who comes second uses what the first has made. */
async function prepare(runtime: Runtime, cache: string, folder: string): Promise<void> {
  await mkdir(cache, { recursive: true });
  const own = await mkdtemp(join(cache, 'prepare-'));
  const scratch = join(own, 'node');
  try {
    await withFreePorts(2, async ([port = 0, controllerPort = 0]) => {
      await rm(scratch, { recursive: true, force: true });
      const node = { id: 1, port, controllerPort };
      const properties = await writeProperties(scratch, node, [node]);
      const tool = await runKafkaClass(runtime, 'kafka.tools.StorageTool', [
        'format',
        '-t',
        kafkaUuid(),
        '-c',
        properties,
      ]);
      if ((await tool.ended) !== 0)
        throw new MnerError('local_server', `Kafka's storage could not be formatted: ${tool.tail().pop()}`);
      const checkpoint = join(scratch, 'data', CHECKPOINT);
      const jvm = [`-XX:ArchiveClassesAtExit=${join(own, ARCHIVE)}`];
      const broker = await runKafkaClass(runtime, 'kafka.Kafka', [properties], { jvm, removeOnDeath: own });
      await started(broker);
      await broker.stop(ARCHIVE_MS);
      if ((await broker.ended) === KILLED) await rm(join(own, ARCHIVE), { force: true }); // Half an archive.
      await rename(checkpoint, join(own, CHECKPOINT));
    });
    await rm(scratch, { recursive: true, force: true });
    await rename(own, folder).catch(async (error: unknown) => {
      if (!(await exists(join(folder, CHECKPOINT)))) throw error;
    });
  } finally {
    await rm(own, { recursive: true, force: true });
  }
}

/** Writing the archive takes 2 s, and 10 s on a busy machine. Without it, all works the same, only slower to start. */
const ARCHIVE_MS = 60_000;

/** Exit code of a program that SIGKILL ended. */
const KILLED = 128 + 9;

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
