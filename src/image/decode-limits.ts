import type { ForkOptions } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { Clock, Timer } from '../clock.js';

const SHELL = '/bin/sh';
/** The decoder's JavaScript needs next to nothing; pixels lie outside V8's heap. */
const HEAP_MB = 64;
const LOOK_EVERY_MS = 50;
/** CPU time of one process. Its replacement costs little, and what spins after its worker was killed comes to an end. */
const CPU_SECONDS = 300;

/** Where memory runs out for all, the kernel ends such a process, and with it one picture, before it thinks of the worker. */
const FIRST_TO_GO = '{ echo 1000 > /proc/self/oom_score_adj; } 2>/dev/null';

/**
 * How a decoding process is started so that the kernel bounds its memory: `ulimit -d` counts all private writable memory
 * on Linux, and unlike `ulimit -v` not the address space that V8 reserves. libvips then reports a picture that needs more
 * as damaged. Where there is no shell, or the kernel does not count, {@link watchMemory} remains.
 *
 * @param cpuSeconds past it the process ends by SIGXCPU
 * @param threads threads of JavaScript in it, its first included
 */
export function limited(
  maxMemoryBytes: number,
  cpuSeconds = CPU_SECONDS,
  threads = 1,
): Pick<ForkOptions, 'execPath' | 'execArgv'> {
  const flags = [`--max-old-space-size=${HEAP_MB}`];
  if (!existsSync(SHELL)) return { execArgv: flags };
  const bytes = maxMemoryBytes + threads * reservedForCode();
  const limits = [`-d ${Math.ceil(bytes / 1024)}`, `-S -t ${cpuSeconds}`, '-c 0'];
  const script = [...limits.map((limit) => `ulimit ${limit} 2>/dev/null`), FIRST_TO_GO, 'exec "$0" "$@"'].join('; ');
  return { execPath: SHELL, execArgv: ['-c', script, process.execPath, ...flags] };
}

/**
 * Bytes that V8 reserves for the code of each thread, as this process shows. Node 24 reserves half a gigabyte, which it
 * hardly touches, but writable, so that the kernel counts it; Node 20 does not.
 */
function reservedForCode(): number {
  codeBytes ??= Math.max(0, ...codeMappings());
  return codeBytes;
}

let codeBytes: number | undefined;

function codeMappings(): number[] {
  let maps: string;
  try {
    maps = readFileSync('/proc/self/maps', 'utf8');
  } catch {
    // No Linux: what the limit does is not known anyway.
    return [];
  }
  const found = maps.matchAll(/^([0-9a-f]+)-([0-9a-f]+) rwxp /gm);
  return Array.from(found, ([, from = '', to = '']) => Number.parseInt(to, 16) - Number.parseInt(from, 16));
}

/**
 * The environment of a decoding process: none of the worker's but what the dynamic linker needs. libvips keeps its
 * intermediates in memory, where the limit sees them, and not in files.
 */
export function bareEnvironment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => /^(?:PATH|LD_LIBRARY_PATH|SystemRoot)$/i.test(name));
  return {
    ...Object.fromEntries(kept),
    MALLOC_ARENA_MAX: '2',
    UV_THREADPOOL_SIZE: '1',
    VIPS_BLOCK_UNTRUSTED: '1',
    VIPS_DISC_THRESHOLD: '1000g',
  };
}

/** Looks at a process's resident memory every 50 ms, where `/proc` tells, and calls back once when it is above the limit. */
export function watchMemory(pid: number, maxBytes: number, clock: Clock, above: () => void): Timer {
  let timer = clock.after(LOOK_EVERY_MS, look);
  let watches = true;

  function look(): void {
    void residentBytes(pid).then((bytes) => {
      if (!watches || bytes === null) return;
      if (bytes > maxBytes) above();
      else timer = clock.after(LOOK_EVERY_MS, look);
    });
  }

  return {
    cancel() {
      watches = false;
      timer.cancel();
    },
  };
}

async function residentBytes(pid: number): Promise<number | null> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const kilobytes = /^VmRSS:\s*(\d+) kB$/m.exec(status)?.[1];
  return kilobytes === undefined ? null : Number(kilobytes) * 1024;
}
