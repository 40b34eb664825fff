import { z } from 'zod';

/** The groups of the reference page, in its order. */
export const SECTIONS = ['Kafka', 'Topics', 'Delivery', 'Pictures', 'Cache', 'Model', 'HTTP', 'Logs'] as const;
export type Section = (typeof SECTIONS)[number];

/** What is said of a field beside its type; everything that people read about it is made from this. */
export interface About {
  readonly section: Section;
  /** One or two sentences: what it does, and what a higher or lower value costs. */
  readonly description: string;
  /** What stands for the value in `--help`. */
  readonly value: string;
  readonly unit?: 'ms' | 's' | 'bytes' | 'records' | 'tokens';
  /** In words, what a text must look like; enumerations and numbers speak for themselves. */
  readonly allowed?: string;
  /** The word that stands for null. */
  readonly off?: 'off' | 'none' | 'auto';
  /** The value is, or may hold, a secret: it is never shown whole, and may come from a file by `…_FILE`. */
  readonly secret?: boolean;
  /** An environment variable that other tools use for the same thing. */
  readonly alias?: string;
  /** Words for a default that depends on the machine. */
  readonly defaultText?: string;
}

export const about = z.registry<About>();
