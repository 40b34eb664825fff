// The soak, `npm run test:soak -- --minutes M [--delivery at_least_once|exactly_once] [--seed N]`: real workers, brokers, Redis and
// pictures, and faults drawn from a seed. Each law is a test; the last line is `N passed, N failed, N skipped`.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const HELP = `npm run test:soak -- --minutes M
  --minutes M                                 how long faults strike
  --delivery at_least_once|exactly_once       the promise to test (exactly_once)
  --seed N                                    the seed of the faults and the records, to repeat a run (a random one)
  --rate N                                    records a second (20)
  --bundle NAME                               the workers' bundle, or \`tiny\` (ham-int8)
  --logs DIR                                  keeps the workers' logs there
`;

const settings = read();
const scratch = mkdtempSync(join(tmpdir(), 'mner-soak-'));
const report = join(scratch, 'report.json');
const args = [
  'run',
  '--config',
  'test/vitest.config.ts',
  '--reporter=verbose',
  '--reporter=json',
  `--outputFile.json=${report}`,
];
const child = spawn(
  process.execPath,
  [join(ROOT, 'node_modules/vitest/vitest.mjs'), ...args, 'test/soak/soak.test.ts'],
  {
    cwd: ROOT,
    env: { ...process.env, ...settings, TMPDIR: scratch },
    // A group of its own, so that the workers end with it.
    detached: true,
    stdio: ['ignore', 'inherit', 'inherit'],
  },
);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.kill(-child.pid, 'SIGKILL'));
const code = await new Promise((done) => child.once('close', (status) => done(status ?? 1)));
const counts = countsOf(code);
rmSync(scratch, { recursive: true, force: true, maxRetries: 5 });
process.stdout.write(`\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`);
process.exit(counts.failed > 0 ? 1 : 0);

function read() {
  const text = { type: 'string' };
  try {
    const { values } = parseArgs({
      options: {
        minutes: text,
        delivery: text,
        seed: text,
        rate: text,
        bundle: text,
        logs: text,
        help: { type: 'boolean' },
      },
    });
    if (values.help) {
      process.stdout.write(HELP);
      process.exit(0);
    }
    const { minutes, delivery = 'exactly_once', seed = String(Math.floor(Math.random() * 2 ** 31)) } = values;
    if (!(Number(minutes) > 0)) throw new Error('--minutes must be a number above 0');
    if (!['at_least_once', 'exactly_once'].includes(delivery))
      throw new Error('--delivery is at_least_once or exactly_once');
    if (!/^\d+$/.test(seed)) throw new Error('--seed must be a whole number');
    if (values.rate !== undefined && !(Number(values.rate) > 0)) throw new Error('--rate must be a number above 0');
    return {
      MNER_SOAK_MINUTES: minutes,
      MNER_SOAK_DELIVERY: delivery,
      MNER_SOAK_SEED: seed,
      ...(values.rate && { MNER_SOAK_RATE: values.rate }),
      ...(values.bundle && { MNER_SOAK_BUNDLE: values.bundle }),
      ...(values.logs && { MNER_SOAK_LOGS: resolve(values.logs) }),
    };
  } catch (error) {
    process.stderr.write(`${error.message}\n\n${HELP}`);
    process.exit(2);
  }
}

/** By vitest's own report, never by its silence. */
function countsOf(status) {
  if (!existsSync(report)) return { passed: 0, failed: 1, skipped: 0 };
  const {
    numPassedTests: passed,
    numFailedTests,
    numPendingTests,
    numTodoTests,
  } = JSON.parse(readFileSync(report, 'utf8'));
  // A hook that fails has no failed test of its own.
  const failed = numFailedTests === 0 && (status !== 0 || passed === 0) ? 1 : numFailedTests;
  return { passed, failed, skipped: numPendingTests + numTodoTests };
}
