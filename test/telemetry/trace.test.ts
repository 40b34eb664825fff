import { expect, it } from 'vitest';
import { continueTrace } from '#mner/telemetry/trace.js';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';

it('stays in the trace, with a span of its own and the same flags', () => {
  const next = continueTrace(`00-${TRACE}-${SPAN}-01`);
  expect(next).toMatch(new RegExp(`^00-${TRACE}-[0-9a-f]{16}-01$`));
  expect(next).not.toContain(SPAN);
  expect(continueTrace(`00-${TRACE}-${SPAN}-00`)).toMatch(/-00$/);
});

it('gives each continuation a span of its own', () => {
  const spans = Array.from({ length: 100 }, () => continueTrace(`00-${TRACE}-${SPAN}-01`));
  expect(new Set(spans).size).toBe(100);
});

it.each([
  ['nothing', ''],
  ['a version that is not known', `01-${TRACE}-${SPAN}-01`],
  ['a trace of zeros', `00-${'0'.repeat(32)}-${SPAN}-01`],
  ['a span of zeros', `00-${TRACE}-${'0'.repeat(16)}-01`],
  ['upper case', `00-${TRACE.toUpperCase()}-${SPAN}-01`],
  ['something behind it', `00-${TRACE}-${SPAN}-01-x`],
  ['a line break behind it', `00-${TRACE}-${SPAN}-01\n`],
  ['too few digits', `00-${TRACE.slice(1)}-${SPAN}-01`],
])('continues no header with %s', (_what, header) => {
  expect(continueTrace(header)).toBeNull();
});
