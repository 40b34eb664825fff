import type { Clock } from '../clock.js';
import type { Emit } from '../telemetry/events.js';
import { createAges } from './ages.js';
import { mayRead, type OpenLane } from './open-lane.js';
import type { Consumer, TopicPartition } from './port.js';
import { createPressure } from './pressure.js';

export interface BackPressureOptions {
  readonly consumer: Pick<Consumer, 'pause' | 'resume'>;
  /** The lanes that are ours now. */
  readonly lanes: () => readonly OpenLane[];
  /** Whether anything is to be read at all. */
  readonly reads: () => boolean;
  readonly highBytes: number;
  readonly lowBytes: number;
  readonly maxAgeMs: number;
  readonly clock: Clock;
  readonly emit: Emit;
}

/**
 * When reading stands still: of all partitions while too many bytes are held (`pressure.ts`), of one while its oldest record has been
 * here for too long (`ages.ts`). A partition is read again when neither holds it any more, nor anything else (`halts.ts`).
 */
export interface BackPressure {
  hold(bytes: number): void;
  release(bytes: number): void;
  /** Records came to this lane or left it, or time went by. */
  look(held: OpenLane): void;
  /** There is a new assignment, and nothing of it is paused yet. */
  reset(): void;
  /** A lane may be read now, as far as its delivery is concerned; so it is, unless something here holds it. */
  enter(held: OpenLane): void;
}

export function createBackPressure(options: BackPressureOptions): BackPressure {
  const { consumer, lanes, reads, highBytes, lowBytes, maxAgeMs, clock, emit } = options;
  /** Partitions that are paused, as last told; undefined before that. */
  let told: number | undefined;

  const tell = (): void => {
    const paused = bytes.paused ? lanes().length : lanes().filter(({ stale }) => stale).length;
    if (paused !== told) emit({ type: 'paused', partitions: paused });
    told = paused;
  };

  const bytes = createPressure({
    highBytes,
    lowBytes,
    emit,
    pause() {
      consumer.pause(placesOf(lanes()));
      tell();
    },
    resume() {
      if (reads()) consumer.resume(placesOf(lanes().filter(mayRead)));
      tell();
    },
  });

  const enter = (held: OpenLane): void => {
    if (reads() && mayRead(held) && held.lane.state !== 'closed' && !bytes.paused) consumer.resume([held.handle]);
  };

  const ages = createAges({
    highMs: maxAgeMs,
    lowMs: maxAgeMs / 2,
    clock,
    pause({ handle }) {
      consumer.pause([handle]);
      tell();
    },
    resume(held) {
      enter(held);
      tell();
    },
  });

  return {
    hold: bytes.hold,
    release: bytes.release,
    look: ages.look,
    enter,
    reset() {
      bytes.reset();
      tell();
    },
  };
}

function placesOf(lanes: readonly OpenLane[]): TopicPartition[] {
  return lanes.map(({ handle: { topic, partition } }) => ({ topic, partition }));
}
