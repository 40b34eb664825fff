import { delay, systemClock } from '../../clock.js';
import type { InferenceHost } from '../../inference/port.js';

/**
 * A host that answers as another one does, but only after a wait that grows with the padded tokens of the call: calls stand in
 * line as they do before a real model, and cost no CPU. It stands for an accelerator.
 */
export function waitingHost(host: InferenceHost, msPerToken: number): InferenceHost {
  /** When the last call so far will be done. */
  let busyUntil = 0;
  return {
    get provider() {
      return host.provider;
    },
    start: () => host.start(),
    stop: () => host.stop(),
    async run(model, feeds, begun) {
      const now = systemClock.now();
      if (busyUntil <= now) begun?.();
      else void delay(systemClock, busyUntil - now).then(begun);
      const tokens = feeds.input_ids?.dims.reduce((product, size) => product * size, 1) ?? 0;
      // Counted from moment to moment and not timer by timer, so that what timers are late by does not add up.
      busyUntil = Math.max(busyUntil, now) + tokens * msPerToken;
      await delay(systemClock, busyUntil - systemClock.now());
      return host.run(model, feeds);
    },
  };
}
