import type { Profiler } from 'node:inspector';

/** Files of metrics and logs: our own room, and the libraries that only it uses. */
export const TELEMETRY = /\/dist\/telemetry\/|\/node_modules\/(?:prom-client|pino|pino-pretty|sonic-boom|tdigest)\//;

/** V8's names for time in which JavaScript does not run. */
const NOT_JAVASCRIPT: ReadonlySet<string> = new Set(['(idle)', '(program)', '(root)']);

/**
 * The share of samples taken in these files, or in what they call, among all samples of JavaScript and garbage collection. What the
 * process does outside of them, as writing to sockets, is left out of the whole, so that the share is rather too large.
 */
export function shareOf({ nodes, samples = [] }: Profiler.Profile, files: RegExp): number {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  /** Whether a node or one of those that called it is of the files. Parents come before their children. */
  const ours = new Map<number, boolean>();
  for (const node of nodes) {
    const mine = ours.get(node.id) === true || files.test(node.callFrame.url);
    ours.set(node.id, mine);
    if (mine) for (const child of node.children ?? []) ours.set(child, true);
  }
  let all = 0;
  let part = 0;
  for (const sample of samples) {
    const name = byId.get(sample)?.callFrame.functionName ?? '';
    if (NOT_JAVASCRIPT.has(name)) continue;
    all += 1;
    if (ours.get(sample)) part += 1;
  }
  return all === 0 ? 0 : part / all;
}
