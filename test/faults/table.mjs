// From vitest's JSON report to the table of faults: one line for each row of the matrix.
import { MATRIX } from './matrix.mjs';

/**
 * @typedef {{ title: string, status: string, meta?: { seen?: string } }} Test
 * @typedef {{ number: number, fault: string, outcome: 'passed' | 'failed' | 'skipped' | 'no test', seen: string }} Line
 */

const TITLE = /^fault (\d+): /;

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
    return assertionResults.map(({ title, status, meta }) => {
      const unprepared = hook && status !== 'passed' && rowOf(title) !== null;
      return { title, status: unprepared ? 'failed' : status, ...(meta ? { meta } : {}) };
    });
  });
}

/**
 * The state of these rows. A row has passed when all of its tests have, and there is one; a test that was skipped proves nothing.
 * What several tests saw alike, such as those of a table of cases, is told once.
 *
 * @param {readonly Test[]} tests
 * @param {readonly number[]} rows
 * @returns {Line[]}
 */
export function linesOf(tests, rows) {
  return MATRIX.filter(({ number }) => rows.includes(number)).map(({ number, fault, reason }) => {
    const own = tests.filter(({ title }) => rowOf(title) === number);
    const failed = own.filter(({ status }) => status === 'failed');
    const passed = own.filter(({ status }) => status === 'passed');
    if (failed.length > 0) return { number, fault, outcome: 'failed', seen: failed.map(nameOf).join('; ') };
    if (passed.length > 0)
      return { number, fault, outcome: 'passed', seen: [...new Set(passed.map(whatSeen))].join('; ') };
    if (reason !== undefined) return { number, fault, outcome: 'skipped', seen: reason };
    if (own.length > 0) return { number, fault, outcome: 'skipped', seen: own.map(nameOf).join('; ') };
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

/** @param {Test} test */
function whatSeen(test) {
  return test.meta?.seen ?? nameOf(test);
}
