import type { TestContext } from 'vitest';

declare module 'vitest' {
  interface TaskMeta {
    /** What a test of a fault saw, with its figures; stands in the table of the faults. */
    seen?: string;
  }
}

/** Tells what a test of a fault saw, in a few words with figures: `seen(task, 'taken over after 4.6 s, 0 lost')`. */
export function seen(task: TestContext['task'], text: string): void {
  task.meta.seen = text;
}

/**
 * Whether the long tests run too (`npm run test:faults`). One that takes more than twenty seconds on an idle machine is written
 * `it.runIf(LONG)('fault 1: …')`, in a group of its own if what comes before it takes long.
 */
export const LONG = process.env.MNER_TEST_FAULTS === 'on';
