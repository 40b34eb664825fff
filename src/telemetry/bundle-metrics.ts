import type { Event } from './events.js';
import type { TalliedCounter, TalliedHistogram, TalliedHistograms, Tally } from './tallies.js';

/** Types of entities that get their own series; what a bundle has beyond them is counted as `other`. */
export const MAX_ENTITY_TYPES = 16;

/** Counts entities by type, within bounds. */
export function entityCounter(childOf: (type: string) => Tally): (type: string) => void {
  const children = new Map<string, Tally>();
  return (type) => {
    const name = children.has(type) || children.size < MAX_ENTITY_TYPES ? type : 'other';
    let child = children.get(name);
    if (!child) {
      child = childOf(name);
      children.set(name, child);
    }
    child.inc();
  };
}

export interface BundleMetrics {
  tweet(event: Extract<Event, { type: 'bundle_tweet' }>): void;
  inference(event: Extract<Event, { type: 'bundle_inference' }>): void;
}

/** What is counted for each bundle apart: one that runs has two or three series of each metric. */
export function createBundleMetrics(wholes: {
  readonly tweets: TalliedCounter;
  readonly entities: TalliedCounter;
  readonly relevance: TalliedHistograms;
  readonly inference: TalliedHistograms;
}): BundleMetrics {
  const bundles = new Map<string, ReturnType<typeof open>>();
  const open = (bundle: string) => ({
    read: wholes.tweets.series(bundle, 'read'),
    poison: wholes.tweets.series(bundle, 'poison'),
    entity: entityCounter((type) => wholes.entities.series(bundle, type)),
    relevance: once(() => wholes.relevance.series({ bundle })),
    inference: once(() => wholes.inference.series({ bundle })),
  });
  const of = (bundle: string) => {
    let found = bundles.get(bundle);
    if (!found) {
      found = open(bundle);
      bundles.set(bundle, found);
    }
    return found;
  };
  return {
    tweet(event) {
      const counted = of(event.bundle);
      counted[event.result].inc();
      if (event.result === 'poison') return;
      for (const type of event.types) counted.entity(type);
      if (event.relevance !== null) counted.relevance().observe(event.relevance);
    },
    inference({ bundle, seconds }) {
      of(bundle).inference().observe(seconds);
    },
  };
}

/** A series that is there from its first observation on. */
function once(make: () => TalliedHistogram): () => TalliedHistogram {
  let made: TalliedHistogram | undefined;
  return () => {
    made ??= make();
    return made;
  };
}
