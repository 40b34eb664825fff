import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { PortTaken, withFreePorts } from '#mner/local/ports.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs `mner` to its end, which `signal` brings about by SIGTERM. Only the given variables of the MNER family are set.
 *
 * @param through as for {@link startWorker}
 */
export async function mner(
  args: readonly string[],
  {
    env = {},
    input = '',
    signal,
    through = [],
  }: {
    env?: Readonly<Record<string, string>>;
    input?: string | Buffer;
    signal?: AbortSignal;
    through?: readonly string[];
  } = {},
): Promise<Ended> {
  const child = start(args, env, through);
  const output = collect(child);
  signal?.addEventListener('abort', () => child.kill('SIGTERM'));
  child.stdin?.on('error', () => {});
  child.stdin?.end(input);
  const code = await exitOf(child);
  return { code, stdout: output.stdout(), stderr: output.stderr() };
}

export interface WorkerProcess {
  /** `http://127.0.0.1:port` */
  readonly url: string;
  readonly pid: number;
  /** What it has written to stderr so far. */
  log(): string;
  /** Sum of the resident memory of the worker and its children, in MB. */
  residentMb(): number;
  /** Its exit code, as soon as it has ended; null when a signal ended it. */
  readonly ended: Promise<number | null>;
  /** Ends it with a signal, SIGTERM unless told otherwise; gives its exit code. Safe to call twice. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

/**
 * Starts `mner run` and waits until it says that it is ready.
 *
 * @param through a command that makes itself the one in its last arguments, by `exec`. @default none
 */
export function startWorker(
  env: Readonly<Record<string, string>>,
  through: readonly string[] = [],
): Promise<WorkerProcess> {
  return withFreePorts(1, ([port]) => startOn(port as number, env, through));
}

async function startOn(
  port: number,
  env: Readonly<Record<string, string>>,
  through: readonly string[],
): Promise<WorkerProcess> {
  const child = start(['run'], { MNER_HTTP_PORT: String(port), ...env }, through);
  child.stdin?.end();
  const output = collect(child);
  const ended = exitOf(child);
  let code: number | null | undefined;
  void ended.then((value) => {
    code = value;
  });
  const url = `http://127.0.0.1:${port}`;
  for (;;) {
    if (code !== undefined) {
      if (output.stderr().includes(`The HTTP port ${port} `)) throw new PortTaken();
      throw new Error(`The worker ended with ${code} before it was ready:\n${output.stderr()}`);
    }
    const response = await fetch(`${url}/readyz`).catch(() => null);
    if (response?.ok) break;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const pid = child.pid as number;
  return {
    url,
    pid,
    log: output.stderr,
    ended,
    residentMb: () => treeOf(pid).reduce((sum, member) => sum + residentMb(member), 0),
    stop(signal = 'SIGTERM') {
      child.kill(signal);
      return ended;
    },
  };
}

function start(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  through: readonly string[] = [],
): ChildProcess {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(MNER_|KAFKA_|REDIS_)/.test(name));
  const [command, ...rest] = [...through, process.execPath, MAIN, ...args] as [string, ...string[]];
  return spawn(command, rest, { env: { ...Object.fromEntries(inherited), ...env } });
}

function exitOf(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => child.on('close', (code) => resolve(code)));
}

function collect(child: ChildProcess): { stdout: () => string; stderr: () => string } {
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout?.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr?.on('data', (chunk: Buffer) => err.push(chunk));
  return { stdout: () => Buffer.concat(out).toString(), stderr: () => Buffer.concat(err).toString() };
}

/** The process and all that it has started, by Linux's /proc. */
function treeOf(root: number): number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const parent = /^PPid:\s+(\d+)/m.exec(statusOf(Number(name)))?.[1];
    if (parent !== undefined) parents.set(Number(name), Number(parent));
  }
  const members = [root];
  for (const member of members) for (const [pid, parent] of parents) if (parent === member) members.push(pid);
  return members;
}

function residentMb(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(statusOf(pid))?.[1] ?? 0) / 1024;
}

function statusOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8');
  } catch {
    return '';
  }
}
