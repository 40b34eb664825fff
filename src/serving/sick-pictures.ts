import type { Emit } from '../telemetry/events.js';

/** What one model tells, and its end. */
export interface Voice {
  readonly emit: Emit;
  /** It was stopped, and says nothing any more. */
  end(): void;
}

/**
 * Each model looks at pictures for itself, and says so when it cannot; `mner_degraded{reason="pictures"}` is one statement of the
 * worker. It holds while any model says it. A model that ends takes its own word back: nobody else would, where its vision bundle
 * was at fault and that of its successor is not.
 *
 * @returns a voice for each model, through which everything else goes as it is
 */
export function createSickPictures(emit: Emit): () => Voice {
  const sick = new Set<Voice>();
  const tell = (voice: Voice, on: boolean) => {
    const before = sick.size > 0;
    if (on) sick.add(voice);
    else sick.delete(voice);
    const after = sick.size > 0;
    if (after !== before) emit({ type: 'degraded', reason: 'pictures', on: after });
  };
  return () => {
    const voice: Voice = {
      emit: (event) => (event.type === 'degraded' && event.reason === 'pictures' ? tell(voice, event.on) : emit(event)),
      end: () => tell(voice, false),
    };
    return voice;
  };
}
