import { expect, it } from 'vitest';
import { MATRIX } from './matrix.mjs';
import { linesOf, parseRows, render, rowOf, testsOf, titlePattern } from './table.mjs';

const test = (title: string, status: string, seen?: string) => ({ title, status, meta: seen ? { seen } : {} });

it('a row passes when all of its tests do, and tells what they saw, once', () => {
  const tests = [
    test('fault 2: one way', 'passed', 'nothing visible'),
    test('fault 2: one way, once more', 'passed', 'nothing visible'),
    test('fault 2: another way', 'passed'),
    test('fault 20: another row', 'failed'),
    test('another test', 'failed'),
  ];
  expect(linesOf(tests, [2])).toEqual([
    { number: 2, fault: MATRIX[1]?.fault, outcome: 'passed', seen: 'nothing visible; another way' },
  ]);
});

it.each([
  [
    'a test that failed, whatever the others saw',
    [test('fault 3: a', 'passed', 'x'), test('fault 3: b', 'failed')],
    'failed',
  ],
  ['no test', [], 'no test'],
  ['a test that was skipped', [test('fault 3: a', 'skipped')], 'skipped'],
])('a row with %s has not passed', (_what, tests, outcome) => {
  expect(linesOf(tests, [3])).toMatchObject([{ number: 3, outcome }]);
});

it('a row of which some tests were skipped says which and why, beside what the others saw', () => {
  const tests = [
    test('fault 48: stdout is full', 'passed', '400 of 400 out'),
    test('fault 48: its disk is full (skipped: no right to mount)', 'skipped'),
    { ...test('fault 48: for long', 'pending'), ancestorTitles: ['a worker (skipped: no MNER_TEST_REDIS_URL)'] },
    test('fault 48: without a reason', 'skipped'),
  ];
  const left = 'its disk is full (no right to mount), for long (no MNER_TEST_REDIS_URL), without a reason';
  expect(linesOf(tests, [48])).toMatchObject([{ outcome: 'passed', seen: `400 of 400 out; skipped: ${left}` }]);
  expect(linesOf(tests.slice(1), [48], 'it takes long')).toMatchObject([
    { outcome: 'skipped', seen: `${left} (it takes long)` },
  ]);
});

it('a group that could not be prepared has failed, and a test keeps what the groups around it are called', () => {
  const assertionResults = [{ ...test('fault 2: a', 'skipped'), ancestorTitles: ['a group'] }];
  expect(testsOf({ testResults: [{ status: 'failed', assertionResults }] })).toMatchObject([
    { status: 'failed', ancestorTitles: ['a group'] },
  ]);
});

it('prints a line for each row', () => {
  expect(render(linesOf([test('fault 2: x', 'passed', 'y')], [2, 10])).split('\n')).toEqual([
    '  2  kill -9 between send and sendOffsets  passed   y',
    ' 10  second SIGTERM while draining         no test',
  ]);
});

it('rows are named one by one and from one to another', () => {
  expect(parseRows('5-7,1,6')).toEqual([1, 5, 6, 7]);
  for (const wrong of ['', '0', '51', '3-2', 'one', '1,', '1-51'])
    expect(() => parseRows(wrong)).toThrow(/^--rows .*: give rows from 1 to 50, such as 1,5-8\.$/);
});

it('the pattern finds the tests of its rows and of no others', () => {
  const pattern = new RegExp(titlePattern([1, 5]));
  expect(pattern.test('some group fault 1: so')).toBe(true);
  expect(pattern.test('fault 5: so')).toBe(true);
  for (const other of ['fault 15: so', 'fault 11: so', 'default 1: so', 'fault 1 so'])
    expect(pattern.test(other)).toBe(false);
});

it('the matrix has fifty rows, each with a fault and what is expected', () => {
  expect(MATRIX.map(({ number }) => number)).toEqual(Array.from({ length: 50 }, (_, index) => index + 1));
  for (const { fault, expected } of MATRIX) expect(fault && expected).toBeTruthy();
  expect(rowOf('fault 12: a')).toBe(12);
  expect(rowOf('a fault 12: a')).toBeNull();
});
