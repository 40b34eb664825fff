import { asMnerError } from '../errors.js';
import type { ProcessHost } from './host-process.js';
import type { InferenceHost } from './port.js';

/**
 * Several inference processes as one host: each call goes to the one that has least to do. Sessions of one thread side by side do more than
 * one session of as many threads, which meet at every operator of the graph and wait for the slowest (`docs/performance.md`, "Processes").
 *
 * One that dies takes the call that it was running with it, and is started again; meanwhile calls go to the others. One that cannot be
 * started any more is left out, until none is left.
 *
 * @param hosts at least one, all with the same models
 */
export function createHostPool(hosts: readonly ProcessHost[]): InferenceHost {
  const calls = new Map<ProcessHost, number>(hosts.map((host) => [host, 0]));
  let stopping: Promise<void> | null = null;

  /** Of those that are ready the one with the fewest calls; of all, where none is. */
  const leastBusy = (): ProcessHost => {
    const rank = ([host, count]: [ProcessHost, number]) => (host.ready ? 0 : hosts.length * 1000) + count;
    const [[first]] = [...calls].sort((a, b) => rank(a) - rank(b)) as [[ProcessHost, number]];
    return first;
  };

  const change = (host: ProcessHost, by: number): void => {
    const count = calls.get(host);
    if (count !== undefined) calls.set(host, count + by);
  };

  return {
    processes: hosts.length,
    async start() {
      await Promise.all(hosts.map((host) => host.start()));
    },
    get provider() {
      return hosts[0]?.provider ?? '';
    },
    async run(model, feeds, begun) {
      for (;;) {
        const host = leastBusy();
        change(host, 1);
        try {
          return await host.run(model, feeds, begun);
        } catch (error) {
          // It has given up. The others may still work, and none of them has seen this call.
          if (asMnerError(error).code !== 'inference_unavailable' || stopping || calls.size === 1) throw error;
          calls.delete(host);
        } finally {
          change(host, -1);
        }
      }
    },
    stop() {
      stopping ??= Promise.all(hosts.map((host) => host.stop())).then(() => {});
      return stopping;
    },
  };
}
