import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { flagName } from '../../config/fields.js';
import { pickFlags, secretOfFileKey } from '../../config/flags.js';
import { MnerError } from '../../errors.js';
import { type Guarded, spawnGuarded } from '../../local/process.js';
import type { Lab } from './lab.js';

/** What every program of the bench logs when it reads its input, with its HTTP port; `mner run` does. */
export const READY = 'The worker is ready.';

const STOP_MS = 30_000;

/** A worker, or what stands in its place, in a process of its own. */
export interface Program {
  /** `http://127.0.0.1:port` */
  readonly url: string;
  readonly pid: number;
  /** Rejects when it ends before it is told to. */
  readonly failed: Promise<never>;
  /**
   * What it has seen since it was last asked; only `watched-program` answers.
   * @throws MnerError `local_server` when it ends instead
   */
  take(): Promise<unknown>;
  /** `kill -9`; resolves when it is gone. */
  kill(): Promise<void>;
  stop(): Promise<void>;
}

/** `mner run`, or a program of this folder. */
export type ProgramName = 'run' | 'host-program' | 'naive-program' | 'watched-program';

/**
 * Starts a program with the configuration of the lab's command, and over it `overrides`; it never outlives us.
 *
 * @param overrides texts as flags take them
 * @param env for what is no configuration
 * @throws MnerError `local_server` when it ends before it is ready
 */
export async function startProgram(
  name: ProgramName,
  { command, config }: Pick<Lab, 'command' | 'config'>,
  overrides: Readonly<Record<string, string>>,
  env: Readonly<Record<string, string>> = {},
): Promise<Program> {
  const path = name === 'run' ? '../main.js' : `./${name}.js`;
  const script = fileURLToPath(new URL(path, import.meta.url));
  // The bench sends its set again and again, and no side may remember it.
  const fixed = {
    log_level: 'info',
    log_format: 'json',
    http_port: '0',
    repeat_cache_bytes: '0',
    batch_tokens: String(config.batch_tokens),
    threads: String(config.threads),
    inference_processes: String(config.inference_processes),
  };
  const flags = flagsOf(command, { ...overrides, ...fixed });
  const args = [script, ...(name === 'run' ? ['run'] : []), ...flags];
  const { line, program } = await startReady(process.execPath, args, env);
  const { port } = (JSON.parse(line) as { detail: { port: number } }).detail;
  return { ...program, url: `http://127.0.0.1:${port}` };
}

/**
 * Starts any program that prints a line with {@link READY} once it reads its input.
 *
 * @throws MnerError `local_server` when it ends before it is ready
 */
export async function startReady(
  executable: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ line: string; program: Program }> {
  const process_ = await spawnGuarded(executable, [...args], { env });
  const line = await process_.says(READY);
  if (line === null) throw ended(process_);
  let stopping = false;
  let asked = 0;
  const failed = process_.ended.then((): Promise<never> => (stopping ? new Promise(() => {}) : reject(process_)));
  failed.catch(() => {});
  const program: Program = {
    url: '',
    pid: process_.pid,
    failed,
    async take() {
      process_.signal(ASK);
      const answer = await process_.says(answerHead(++asked));
      if (answer === null) throw ended(process_);
      return JSON.parse(answer) as unknown;
    },
    async kill() {
      stopping = true;
      process_.signal('SIGKILL');
      await process_.ended;
    },
    stop() {
      stopping = true;
      return process_.stop(STOP_MS);
    },
  };
  return { line, program };
}

/** Asks a watched program; its answer is one line that begins with {@link answerHead}. */
export const ASK = 'SIGUSR2';

/** @param turn how often it was asked, from 1 */
export function answerHead(turn: number): string {
  return `{"answer":${turn},`;
}

/** The command line of the calling command, as far as it is configuration, with `overrides` in the place of the same keys. */
function flagsOf(command: Command, overrides: Readonly<Record<string, string>>): string[] {
  const options = command.optsWithGlobals<Record<string, unknown>>();
  const given = Object.entries(pickFlags(options)).filter(([key]) => !((secretOfFileKey(key) ?? key) in overrides));
  const flags = Object.entries({ ...Object.fromEntries(given), ...overrides }).flatMap(([key, value]) => {
    if (typeof value === 'boolean') return [value ? flagName(key) : `--no-${flagName(key).slice(2)}`];
    return [flagName(key), String(value)];
  });
  return typeof options.config === 'string' ? ['--config', options.config, ...flags] : flags;
}

function reject(process_: Guarded): Promise<never> {
  return Promise.reject(ended(process_));
}

function ended(process_: Guarded): MnerError {
  return new MnerError('local_server', `The worker ended by itself: ${process_.tail().slice(-3).join(' ')}`);
}
