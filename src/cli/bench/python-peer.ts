import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { findTool } from '../../local/tools.js';
import { say } from '../print.js';
import type { Start } from './burst.js';
import type { Skipped } from './figure.js';
import type { Lab } from './lab.js';
import { startReady } from './program.js';

const FOLDER = fileURLToPath(new URL('../../../bench/peers/python/', import.meta.url));
const run = promisify(execFile);

/**
 * The Python consumer of `bench/peers/`, with its libraries in a virtual environment of its own, which is made at first use and kept.
 *
 * @returns how to start it; a reason where Python or its libraries cannot be had
 */
export async function pythonPeer({ config, models }: Pick<Lab, 'config' | 'models'>): Promise<Start | Skipped> {
  const python = await environment();
  if (typeof python !== 'string') return python;
  return async ({ brokers = '', group = '', input_topic = '', output_topic = '' }) => {
    const args = [
      [join(FOLDER, 'consumer.py')],
      ['--brokers', brokers, '--group', group, '--input', input_topic, '--output', output_topic],
      ['--bundle', models.ner.folder, '--mentions', config.mentions, '--threads', String(config.threads)],
    ];
    return (await startReady(python, args.flat())).program;
  };
}

/** The path of the environment's Python. */
async function environment(): Promise<string | Skipped> {
  const { requirements, kept, python, ready } = paths();
  if (existsSync(ready)) return python;
  const system = await findTool('python3');
  if (!system) return { skipped: 'there is no python3 on the PATH' };
  say(`  installing the Python peer's libraries into ${kept} …`);
  try {
    // Whatever an earlier attempt left is no environment: `ready` is written last.
    await rm(kept, { recursive: true, force: true });
    await run(system, ['-m', 'venv', kept]);
    await run(python, ['-m', 'pip', 'install', '--quiet', '--requirement', requirements]);
    await writeFile(ready, '');
    return python;
  } catch (error) {
    const said = error instanceof Error ? (error.message.trim().split('\n').at(-1) ?? '') : '';
    return { skipped: `the Python peer's libraries cannot be installed (${said})` };
  }
}

/** Whether the environment is there, so that a start installs nothing. */
export function hasPythonPeer(): boolean {
  return existsSync(paths().ready);
}

function paths() {
  const requirements = join(FOLDER, 'requirements.txt');
  const version = createHash('sha256').update(readFileSync(requirements)).digest('hex').slice(0, 12);
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'mner-stream');
  const kept = join(cache, `python-peer-${version}`);
  return { requirements, kept, python: join(kept, 'bin', 'python'), ready: join(kept, 'ready') };
}
