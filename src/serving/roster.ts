import { hash } from 'node:crypto';

/** Which of two models: the one that reads all tweets but a share, or the one that is tried on that share. */
export type Role = 'stable' | 'canary';

/** A tweet is with a model from here until `end`. */
export interface Lease<Model> {
  readonly model: Model;
  /** Call it once. */
  end(): void;
}

/**
 * The models at work, and which of them reads a tweet. A model may be replaced at any time: a tweet that began with the old one ends
 * with it, so that no output mixes two.
 */
export interface Roster<Model> {
  /** The model for this tweet; the same on every worker that has the same canary share. */
  lease(tweetId: string): Lease<Model>;
  readonly stable: Model;
  readonly canary: Model | null;
  /**
   * From now on, tweets go to `next`.
   *
   * @returns resolves with the old model when no tweet is with it any more, so that it may be stopped; null when there was none
   */
  replace(role: Role, next: Model): Promise<Model | null>;
}

interface Entry<Model> {
  readonly model: Model;
  tweets: number;
  /** Set once it was replaced. */
  idle: (() => void) | null;
}

/** @param canaryShare of all tweets, 0 to 1 */
export function createRoster<Model>(stable: Model, canary: Model | null, canaryShare: number): Roster<Model> {
  const entries: Record<Role, Entry<Model> | null> = { stable: entryOf(stable), canary: canary && entryOf(canary) };
  return {
    lease(tweetId) {
      const role = entries.canary && isCanary(tweetId, canaryShare) ? 'canary' : 'stable';
      const entry = entries[role] as Entry<Model>;
      entry.tweets++;
      return {
        model: entry.model,
        end() {
          if (--entry.tweets === 0) entry.idle?.();
        },
      };
    },
    get stable() {
      return (entries.stable as Entry<Model>).model;
    },
    get canary() {
      return entries.canary?.model ?? null;
    },
    async replace(role, next) {
      const old = entries[role];
      entries[role] = entryOf(next);
      if (!old) return null;
      if (old.tweets > 0)
        await new Promise<void>((resolve) => {
          old.idle = resolve;
        });
      return old.model;
    },
  };
}

/**
 * Whether a tweet belongs to the canary's share: the first 32 bits of the SHA-256 of its id, as a fraction, are less than the share. A tweet
 * is on one side on every worker, and stays there when the share grows.
 */
export function isCanary(tweetId: string, share: number): boolean {
  if (share <= 0) return false;
  return Number.parseInt(hash('sha256', tweetId).slice(0, 8), 16) < share * 2 ** 32;
}

function entryOf<Model>(model: Model): Entry<Model> {
  return { model, tweets: 0, idle: null };
}
