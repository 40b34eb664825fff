// From vitest's JSON report to the table of faults: one line for each row of the matrix.
import { MATRIX } from './matrix.mjs';

/**
 * @typedef {{ title: string, status: string, ancestorTitles?: string[], meta?: { seen?: string } }} Test
 * @typedef {{ number: number, fault: string, outcome: 'passed' | 'failed' | 'skipped' | 'no test', seen: string }} Line
 */

const TITLE = /^fault (\d+): /;
/** Why a test is skipped, as the title of it or of a group around it says. */
const REASON = / \(skipped:? (.*?)\)/g;

/** The row that a test belongs to, by its title; null for any other test. @param {string} title */
export function rowOf(title) {
  const number = TITLE.exec(title)?.[1];
  return number === undefined ? null : Number(number);
}

/**
 * The rows that `1,5-8` names.
 *
 * @param {string} list
 * @returns {number[]}
 * @throws {Error} one sentence, where it is not such a list or names a row that there is not
 */
export function parseRows(list) {
  const rows = list.split(',').flatMap((part) => {
    const [, from, to] = /^(\d+)(?:-(\d+))?$/.exec(part.trim()) ?? [];
    const first = Number(from);
    const last = Number(to ?? from);
    if (!(first >= 1 && first <= last && last <= MATRIX.length))
      throw new Error(`--rows ${list}: give rows from 1 to ${MATRIX.length}, such as 1,5-8.`);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
  return [...new Set(rows)].sort((a, b) => a - b);
}

/** A pattern for vitest's `-t`, which sees the titles of the groups before a test's own. @param {readonly number[]} rows */
export function titlePattern(rows) {
  return `(^|\\s)fault (${rows.join('|')}): `;
}

/**
 * The tests of a report. Where a hook has failed, vitest calls the tests that it should have prepared skipped: they have failed.
 *
 * @param {{ testResults: { status: string, assertionResults: Test[] }[] }} report
 * @returns {Test[]}
 */
export function testsOf({ testResults }) {
  return testResults.flatMap(({ status, assertionResults }) => {
    const hook = status === 'failed' && !assertionResults.some((test) => test.status === 'failed');
    return assertionResults.map((test) => {
      const unprepared = hook && test.status !== 'passed' && rowOf(test.title) !== null;
      return { ...test, status: unprepared ? 'failed' : test.status };
    });
  });
}

/**
 * The state of these rows. A row has passed when all of its tests that ran have, and there is one; a test that was skipped proves
 * nothing, so it is named beside what the others saw. What several tests saw alike, such as those of a table of cases, is told once.
 *
 * @param {readonly Test[]} tests
 * @param {readonly number[]} rows
 * @param {string} [otherwise] why those tests were skipped whose titles do not say it
 * @returns {Line[]}
 */
export function linesOf(tests, rows, otherwise = '') {
  return MATRIX.filter(({ number }) => rows.includes(number)).map(({ number, fault, reason }) => {
    const own = tests.filter(({ title }) => rowOf(title) === number);
    const failed = own.filter(({ status }) => status === 'failed');
    const passed = own.filter(({ status }) => status === 'passed');
    const left = own
      .filter(({ status }) => status !== 'passed' && status !== 'failed')
      .map((one) => whyLeft(one, otherwise));
    const skipped = left.length > 0 ? [`skipped: ${[...new Set(left)].join(', ')}`] : [];
    if (failed.length > 0) return { number, fault, outcome: 'failed', seen: failed.map(nameOf).join('; ') };
    if (passed.length > 0)
      return { number, fault, outcome: 'passed', seen: [...new Set(passed.map(whatSeen)), ...skipped].join('; ') };
    if (reason !== undefined) return { number, fault, outcome: 'skipped', seen: reason };
    if (own.length > 0) return { number, fault, outcome: 'skipped', seen: [...new Set(left)].join(', ') };
    return { number, fault, outcome: 'no test', seen: '' };
  });
}

/** @param {readonly Line[]} lines */
export function render(lines) {
  const width = Math.max(...lines.map(({ fault }) => fault.length));
  return lines
    .map(({ number, fault, outcome, seen }) =>
      `${String(number).padStart(3)}  ${fault.padEnd(width)}  ${outcome.padEnd(7)}  ${seen}`.trimEnd(),
    )
    .join('\n');
}

/** @param {Test} test */
function nameOf({ title }) {
  return title.replace(TITLE, '');
}

/** A test that was skipped, with the reason. @param {Test} test @param {string} otherwise */
function whyLeft(test, otherwise) {
  const titles = [...(test.ancestorTitles ?? []), test.title].join(' ');
  const reasons = [...new Set([...titles.matchAll(REASON)].map(([, reason]) => reason))].join(', ') || otherwise;
  return `${nameOf(test).replaceAll(REASON, '')}${reasons && ` (${reasons})`}`;
}

/** @param {Test} test */
function whatSeen(test) {
  return test.meta?.seen ?? nameOf(test);
}
