import type { Emit } from '../telemetry/events.js';

export interface PressureOptions {
  /** Above this many bytes held, reading pauses. */
  readonly highBytes: number;
  /** At this many or fewer it goes on. Well below the other, so that it does not flip with every batch. */
  readonly lowBytes: number;
  /** Pauses or resumes every partition that is ours. */
  readonly pause: () => void;
  readonly resume: () => void;
  readonly emit: Emit;
}

/** Back-pressure: counts the bytes that all lanes hold, and pauses reading while they are too many. */
export interface Pressure {
  readonly bytes: number;
  /** Reading is paused. */
  readonly paused: boolean;
  hold(bytes: number): void;
  release(bytes: number): void;
  /** There is a new assignment, and nothing of it is paused yet. */
  reset(): void;
}

export function createPressure(options: PressureOptions): Pressure {
  const { highBytes, lowBytes, emit } = options;
  let held = 0;
  let paused = false;

  const pause = (): void => {
    paused = true;
    options.pause();
  };

  const change = (bytes: number): void => {
    held += bytes;
    emit({ type: 'inflight', bytes: held });
    if (!paused && held > highBytes) pause();
    else if (paused && held <= lowBytes) {
      paused = false;
      options.resume();
    }
  };

  return {
    get bytes() {
      return held;
    },
    get paused() {
      return paused;
    },
    hold: (bytes) => change(bytes),
    release: (bytes) => change(-bytes),
    reset() {
      // What an older assignment left in process still counts.
      paused = false;
      if (held > highBytes) pause();
    },
  };
}
