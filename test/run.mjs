// The whole suite, `npm test`: the type checker, the linter, the tests against one real Kafka and one real Redis, and a short part on
// Node 24. Arguments go to vitest as filters: `npm test -- test/stream`. The last line is `N passed, N failed, N skipped`.
// With `--faults` (`npm run test:faults`) it runs the tests that prove the matrix of faults instead, the long ones too, one file at a
// time, and that line counts rows of the matrix: `npm run test:faults -- --rows 1,5-8`.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MATRIX } from './faults/matrix.mjs';
import { linesOf, parseRows, render, rowOf, testsOf, titlePattern } from './faults/table.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const NODE_24 = '24.21.0';
/** What depends most on the version of Node: the native modules and the text rules. */
const PART_ON_NODE_24 = ['test/ner', 'test/text', 'test/tweet', 'test/inference'];

const { faults, rows, filters } = readArguments(process.argv.slice(2));
const scratch = mkdtempSync(join(tmpdir(), 'mner-test-'));
const total = { passed: 0, failed: 0, skipped: 0 };
const children = new Set();
const servers = [];
let finishing = false;
let table = '';
/** What failed, a line each: told once more at the end, where a reader of a long log looks first. */
const failures = [];
/** What passed at the second attempt alone. */
const seconds = [];
// Ends what we started in order; the servers would also end by themselves (src/local/process.ts).
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => finish(130));

const starting = startServers(); // While the checks below run.
if (!faults) {
  await check('type check of src', bin('typescript/bin/tsc'), ['-p', 'tsconfig.json', '--noEmit']);
  await check('type check of test', bin('typescript/bin/tsc'), ['-p', 'test/tsconfig.json']);
  await check('lint and format', bin('@biomejs/biome/bin/biome'), ['check', '--error-on-warnings']);
}
const env = {
  ...(await starting),
  ...(faults && { MNER_TEST_FAULTS: 'on' }),
  MNER_TEST_DATA: resolve(ROOT, process.env.MNER_TEST_DATA || '../shared/data'),
};
const suite = await vitest(process.execPath, faults ? [...filters, '-t', titlePattern(rows)] : filters, env);
table = tableOf(suite);
if (!faults) {
  add(suite);
  await node24(env);
}
await finish();

function readArguments(given) {
  const filters = given.filter((argument) => argument !== '--faults');
  const faults = filters.length < given.length;
  const at = filters.indexOf('--rows');
  const [, list] = at < 0 ? [] : filters.splice(at, 2);
  if (at >= 0 && !faults) refuse('--rows goes with --faults: npm run test:faults -- --rows 1,5-8.');
  try {
    return { faults, filters, rows: at < 0 ? MATRIX.map(({ number }) => number) : parseRows(list ?? '') };
  } catch (error) {
    refuse(error.message);
  }
}

function refuse(sentence) {
  process.stderr.write(`${sentence}\n`);
  process.exit(2);
}

/**
 * The rows that were asked for, which then are what is counted; without `--faults`, those of which some test ran. Empty when there
 * are none.
 */
function tableOf({ tests, astray }) {
  if (finishing) return ''; // Interrupted: there is no report.
  const ran = new Set(tests.filter(({ status }) => status !== 'skipped').map(({ title }) => rowOf(title)));
  const lines = linesOf(tests, faults ? rows : rows.filter((row) => ran.has(row)), faults ? '' : 'it takes long');
  if (faults) {
    for (const { outcome } of lines) add({ [outcome === 'no test' ? 'failed' : outcome]: 1 });
    // Whatever went wrong outside of the tests of these rows.
    if (total.failed === 0) add({ failed: astray });
  }
  if (lines.length === 0) return '';
  const left = tests.filter(({ title, status }) => rowOf(title) !== null && status === 'skipped').length;
  const note =
    faults || left === 0
      ? ''
      : `Tests of faults that are left to \`npm run test:faults\`, since they take long: ${left}.\n`;
  return `\nThe matrix of faults:\n${render(lines)}\n${note}`;
}

/** Environment variables that tell the tests where the servers are; a server that does not start is a failed test. */
async function startServers() {
  const { startKafka } = await import('../dist/local/kafka.js');
  const { startRedis } = await import('../dist/local/redis.js');
  const { provideTool } = await import('../dist/local/tools.js');
  const say = (line) => process.stdout.write(`  ${line}\n`);
  const start = async (name, starter, variables) => {
    try {
      const server = await starter({ say });
      servers.push(server);
      return variables(server);
    } catch (error) {
      report('failed', `start of ${name}`, error instanceof Error ? error.message : String(error));
      return {};
    }
  };
  const kafka = start('Kafka', startKafka, ({ brokers }) => ({ MNER_TEST_BROKERS: brokers.join(',') }));
  const redis = start('Redis', startRedis, ({ url }) => ({ MNER_TEST_REDIS_URL: url }));
  await redis; // It may be installing too, and the system's package manager does one thing at a time.
  const browser = provideTool('chromium', 'chromium', say).then(
    (path) => ({ MNER_TEST_CHROMIUM: path }),
    (error) => {
      say(`the browser tests will be skipped: ${error.message}`);
      return {};
    },
  );
  return { ...(await kafka), ...(await redis), ...(await browser) };
}

/** A command that counts as one test; what it said is shown when it fails. */
async function check(name, script, args) {
  const { code, output } = await run(process.execPath, [script, ...args], { quiet: true });
  report(code === 0 ? 'passed' : 'failed', name, code === 0 ? '' : output);
}

/** Runs the tests and counts them by vitest's own report, never by its silence. */
async function vitest(node, paths, env) {
  const outcome = join(scratch, `vitest-${Date.now()}.json`);
  const args = [
    'run',
    '--config',
    'test/vitest.config.ts',
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${outcome}`,
  ];
  const { code } = await run(node, [bin('vitest/vitest.mjs'), ...args, ...paths], { env });
  if (!existsSync(outcome)) return { passed: 0, failed: 1, skipped: 0, tests: [], astray: 1 };
  const result = JSON.parse(readFileSync(outcome, 'utf8'));
  const counts = {
    passed: result.numPassedTests,
    failed: result.numFailedTests,
    skipped: result.numPendingTests + result.numTodoTests,
  };
  failures.push(...failuresOf(result));
  seconds.push(...secondsOf(result));
  // A file that does not load, or a hook that fails, has no failed test of its own.
  let astray = result.testResults.filter(
    ({ status, assertionResults }) => status === 'failed' && !assertionResults.some((test) => test.status === 'failed'),
  ).length;
  if (code !== 0 && counts.failed + astray === 0) astray = 1; // An error outside of the tests, or no test at all.
  if (counts.passed + counts.failed + counts.skipped + astray === 0) astray = 1;
  return { ...counts, failed: counts.failed + astray, tests: testsOf(result), astray };
}

/** One test: a part of the suite passes on Node 24 too, and so does one tweet through the command. */
async function node24(env) {
  const name = `a part on Node ${NODE_24}`;
  if (filters.length > 0) return report('skipped', name, 'left out, since only a part of the suite was asked for');
  const found = await run('npx', ['-y', '-p', `node@${NODE_24}`, 'node', '-p', 'process.execPath'], {
    quiet: true,
    limitMs: 180_000,
  });
  const node = found.stdout.trim().split('\n').pop() ?? '';
  if (found.code !== 0 || !existsSync(node)) return report('skipped', name, "npm's `node` package could not be had");
  const paths = PART_ON_NODE_24.filter((path) => existsSync(join(ROOT, path)));
  const counts = await vitest(node, paths, env);
  const smoke = await smokeOnNode24(node);
  const good = counts.failed === 0 && counts.passed > 0 && smoke === '';
  report(good ? 'passed' : 'failed', name, `${counts.passed} tests passed, ${counts.failed} failed ${smoke}`.trim());
}

async function smokeOnNode24(node) {
  const main = join(ROOT, 'dist', 'cli', 'main.js');
  const { code, stdout, output } = await run(node, [main, 'extract', '--text', 'Kobe Bryant in Los Angeles'], {
    quiet: true,
  });
  return code === 0 && stdout.includes('"tweet-entities/1"') ? '' : `\`mner extract\` failed: ${output}`;
}

/** Runs to the end. `quiet` keeps what it says instead of showing it. */
function run(command, args, { quiet = false, env = {}, limitMs } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: ROOT,
      // A group of its own, so that `finish` can end it with all that it started; temporary files go where we remove them.
      detached: true,
      env: { ...process.env, TMPDIR: scratch, ...env },
      stdio: ['ignore', quiet ? 'pipe' : 'inherit', quiet ? 'pipe' : 'inherit'],
      timeout: limitMs,
    });
    children.add(child);
    let stdout = '';
    let output = '';
    child.stdout?.on('data', (chunk) => {
      stdout += chunk;
      output += chunk;
    });
    child.stderr?.on('data', (chunk) => {
      output += chunk;
    });
    const done = (code, text) => {
      children.delete(child);
      resolve({ code, stdout, output: output + text });
    };
    child.once('error', (error) => done(1, error.message));
    child.once('close', (code) => done(code ?? 1, ''));
  });
}

/** Failed tests, and files that failed without one, with the first line of what each said. */
function failuresOf({ testResults }) {
  return testResults.flatMap(({ name, status, message, assertionResults }) => {
    const failed = assertionResults.filter((test) => test.status === 'failed');
    if (failed.length === 0) return status === 'failed' ? [`${relative(ROOT, name)}: ${firstLine(message)}`] : [];
    return failed.map((test) => lineOf(name, test));
  });
}

/** Tests that passed at the second attempt, with what the first one said. */
function secondsOf({ testResults }) {
  return testResults.flatMap(({ name, assertionResults }) =>
    assertionResults
      .filter((test) => test.status === 'passed' && test.failureMessages.length > 0)
      .map((test) => lineOf(name, test)),
  );
}

/** A test and the first line of what it said first. */
function lineOf(file, { fullName, failureMessages }) {
  return `${relative(ROOT, file)} > ${fullName}: ${firstLine(failureMessages[0])}`;
}

function firstLine(text) {
  return (text ?? '').split('\n', 1)[0];
}

function report(outcome, name, detail) {
  add({ [outcome]: 1 });
  if (outcome === 'failed') failures.push(name);
  const sign = { passed: '✓', failed: '✗', skipped: '-' }[outcome];
  process.stdout.write(
    `${sign} ${name}${outcome === 'passed' ? '' : ` (${outcome})`}${detail ? `: ${detail.trimEnd()}` : ''}\n`,
  );
}

function add({ passed = 0, failed = 0, skipped = 0 }) {
  total.passed += passed;
  total.failed += failed;
  total.skipped += skipped;
}

function bin(path) {
  return join(ROOT, 'node_modules', path);
}

async function finish(code) {
  if (finishing) return;
  finishing = true;
  for (const { pid } of children) {
    try {
      if (pid) process.kill(-pid, 'SIGKILL');
    } catch {
      // It ended a moment ago.
    }
  }
  await Promise.all(servers.map((server) => server.stop()));
  rmSync(scratch, { recursive: true, force: true, maxRetries: 5 });
  const { passed, failed, skipped } = total;
  const listed = (title, sign, lines) =>
    lines.length > 0 ? `\n${title}:\n${lines.map((line) => `  ${sign} ${line}\n`).join('')}` : '';
  const told = listed('Passed at the second attempt', '!', seconds) + listed('Failed', '✗', failures);
  process.stdout.write(`${table}${told}\n${passed} passed, ${failed} failed, ${skipped} skipped\n`);
  process.exit(code ?? (failed > 0 ? 1 : 0));
}
