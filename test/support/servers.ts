import { fileURLToPath } from 'node:url';

/** Where the suite's real servers are; the commands take them from these variables. */
export const BROKERS = process.env.MNER_TEST_BROKERS ?? '';
export const REDIS = process.env.MNER_TEST_REDIS_URL ?? '';

/** A word for the name of a group of tests that is skipped without a real Kafka and a real Redis; empty when both are there. */
export const NO_SERVERS = [BROKERS ? '' : 'MNER_TEST_BROKERS', REDIS ? '' : 'MNER_TEST_REDIS_URL']
  .filter(Boolean)
  .map((name) => ` (skipped: no ${name})`)
  .join('');

/** The folder of the tiny bundles: real graphs, random weights, loaded in a moment. */
export const TINY_BUNDLES = fileURLToPath(new URL('../fixtures/bundles', import.meta.url));

/** Makes a command use the tiny bundles and one thread, and measure nothing ahead. */
export const TINY = {
  MNER_MODELS_DIR: TINY_BUNDLES,
  MNER_BUNDLE: 'ham-tiny',
  MNER_THREADS: '1',
  MNER_BATCH_TOKENS: '1024',
};

/** A tiny bundle that throws at the word `poison`, and answers `nan` and `inf` with what they say (mner/fixtures/faulty.py). */
export const FAULTY = {
  ...TINY,
  MNER_MODELS_DIR: fileURLToPath(new URL('../fixtures/faulty', import.meta.url)),
  MNER_BUNDLE: 'ham-faulty',
};

/** As {@link TINY}, with the real servers. */
export const TINY_WITH_SERVERS = {
  ...TINY,
  MNER_BROKERS: BROKERS,
  MNER_REDIS_URL: REDIS,
  MNER_REDIS_TIMEOUT_MS: '5000',
};

/** The folder of the toys: a bundle for each kind of input, whose emissions tell what it was fed (mner/fixtures/toys.py). */
export const TOY_BUNDLES = fileURLToPath(new URL('../fixtures/toys', import.meta.url));
