import type { Counter, Histogram } from 'prom-client';
import type { Event } from './events.js';

/** Types of entities that get their own series; what a bundle has beyond them is counted as `other`. */
export const MAX_ENTITY_TYPES = 16;

/** Counts entities by type, within bounds. */
export function entityCounter(childOf: (type: string) => Pick<Counter.Internal, 'inc'>): (type: string) => void {
  const children = new Map<string, Pick<Counter.Internal, 'inc'>>();
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
  readonly tweets: Counter;
  readonly entities: Counter;
  readonly relevance: Histogram;
  readonly inference: Histogram;
}): BundleMetrics {
  const bundles = new Map<string, ReturnType<typeof open>>();
  const open = (bundle: string) => ({
    read: wholes.tweets.labels(bundle, 'read'),
    poison: wholes.tweets.labels(bundle, 'poison'),
    entity: entityCounter((type) => wholes.entities.labels(bundle, type)),
    relevance: wholes.relevance.labels(bundle),
    inference: wholes.inference.labels(bundle),
  });
  const of = (bundle: string) => {
    let found = bundles.get(bundle);
    if (!found) {
      found = open(bundle);
      found.poison.inc(0);
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
      if (event.relevance !== null) counted.relevance.observe(event.relevance);
    },
    inference({ bundle, seconds }) {
      of(bundle).inference.observe(seconds);
    },
  };
}
