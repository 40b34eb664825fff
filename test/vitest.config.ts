import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  root: fileURLToPath(new URL('..', import.meta.url)),
  test: {
    include: process.env.MNER_TEST_FAULTS ? ['test/faults/**/*.test.ts'] : ['test/**/*.test.ts'],
    exclude: process.env.MNER_TEST_FAULTS ? [] : ['test/faults/**'],
    environment: 'node',
    pool: 'forks',
    // The files share one Kafka and one Redis, and often two cores.
    maxWorkers: 2,
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
