import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  root: fileURLToPath(new URL('..', import.meta.url)),
  test: {
    include: ['test/**/*.test.ts'],
    environment: 'node',
    pool: 'forks',
    // The files share one Kafka and one Redis, and often two cores. What breaks servers, and takes the time of it, runs alone.
    maxWorkers: process.env.MNER_TEST_FAULTS ? 1 : 2,
    // A machine that does other work may be late once; what is wrong is wrong twice. `test/run.mjs` names what needed it. A
    // counterexample that fast-check drew has no second attempt, which would draw others.
    retry: { count: process.env.MNER_TEST_FAULTS ? 0 : 1, condition: /^(?!Property failed)/ },
    testTimeout: 30_000,
    hookTimeout: 60_000,
    teardownTimeout: 30_000,
    // What passes has looked at something: a test without an assertion fails, and so does a run without tests or with `.only`.
    expect: { requireAssertions: true },
    allowOnly: false,
    passWithNoTests: false,
    // The build is what people run: Node loads it as it is, not through the test runner's transformation.
    server: { deps: { external: [/\/dist\/.*\.js$/] } },
  },
});
