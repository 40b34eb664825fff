import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { MnerError } from '../../errors.js';

/** One process of a tree, as Linux tells of it. */
export interface ProcessUse {
  readonly pid: number;
  /** Seconds of CPU since its start, its own. */
  readonly cpu: number;
  /** Bytes in memory. */
  readonly rss: number;
}

let perSecond: number | undefined;
let pageBytes: number | undefined;

/**
 * A process and all that descend from it, itself first. Processes that ended are gone from it, with their time.
 *
 * @throws MnerError `bad_input` on a system without `/proc`
 */
export function processTree(root: number): readonly [ProcessUse, ...ProcessUse[]] {
  const all = new Map<number, ProcessUse & { readonly parent: number }>();
  for (const name of listProcesses()) {
    const use = readProcess(Number(name));
    if (use) all.set(use.pid, use);
  }
  const first = all.get(root);
  if (!first) throw new MnerError('internal', `There is no process ${root} any more.`);
  const tree: [ProcessUse, ...ProcessUse[]] = [first];
  for (let i = 0; i < tree.length; i++) {
    const { pid } = tree[i] as ProcessUse;
    for (const one of all.values()) if (one.parent === pid) tree.push(one);
  }
  return tree;
}

function listProcesses(): string[] {
  try {
    return readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  } catch {
    throw new MnerError('bad_input', 'The use of CPU and memory by process is read from /proc, which only Linux has.');
  }
}

/** Null when it has just ended. */
function readProcess(pid: number): (ProcessUse & { readonly parent: number }) | null {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return null;
  }
  perSecond ??= constant('CLK_TCK', 100);
  pageBytes ??= constant('PAGE_SIZE', 4096);
  // The name, in parentheses, may hold anything; the fields after it count from 3 (proc(5)).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const field = (number: number) => Number(fields[number - 3]);
  return { pid, parent: field(4), cpu: (field(14) + field(15)) / perSecond, rss: field(24) * pageBytes };
}

function constant(name: string, usual: number): number {
  try {
    return Number(execFileSync('getconf', [name], { encoding: 'utf8' })) || usual;
  } catch {
    return usual;
  }
}
