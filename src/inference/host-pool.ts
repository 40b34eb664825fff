import type { InferenceHost } from './port.js';

/**
 * Several hosts as one: each call goes to the one that has least to do. Sessions of one thread side by side do more than one session
 * of as many threads, which meet at every operator of the graph and wait for the slowest (`docs/performance.md`, "Processes").
 *
 * What a host promises each of them keeps by itself: one that dies takes the call that it was running with it, and the others go on.
 *
 * @param hosts at least one, all with the same models
 */
export function createHostPool(hosts: readonly InferenceHost[]): InferenceHost {
  const calls = new Map<InferenceHost, number>(hosts.map((host) => [host, 0]));
  const leastBusy = (): InferenceHost => {
    const [[first]] = [...calls].sort(([, a], [, b]) => a - b) as [[InferenceHost, number]];
    return first;
  };
  return {
    async start() {
      await Promise.all(hosts.map((host) => host.start()));
    },
    get provider() {
      return hosts[0]?.provider ?? '';
    },
    async run(model, feeds, begun) {
      const host = leastBusy();
      const count = (change: number) => calls.set(host, (calls.get(host) ?? 0) + change);
      count(1);
      try {
        return await host.run(model, feeds, begun);
      } finally {
        count(-1);
      }
    },
    async stop() {
      await Promise.all(hosts.map((host) => host.stop()));
    },
  };
}
