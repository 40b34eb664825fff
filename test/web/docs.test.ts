import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { ERRORS } from '#mner/errors.js';
import { errorsMarkdown } from '#mner/web/errors-page.js';
import { HTTP_ERRORS } from '#mner/web/reply.js';

test('docs/errors.md is what the tables say (vitest -u rewrites it)', async () => {
  await expect(errorsMarkdown()).toMatchFileSnapshot('../../docs/errors.md');
});

test('every code stands on the page', () => {
  for (const code of [...Object.keys(ERRORS), ...Object.keys(HTTP_ERRORS)])
    expect(errorsMarkdown()).toContain(`\`${code}\``);
});

test('docs/http.md names every path and every error of the server', () => {
  const page = readFileSync(new URL('../../docs/http.md', import.meta.url), 'utf8');
  for (const path of ['/metrics', '/livez', '/readyz', '/info', 'POST /v1/extract'])
    expect(page).toContain(`\`${path}\``);
  for (const [code, { status }] of Object.entries(HTTP_ERRORS)) expect(page).toContain(`| \`${code}\` | ${status} |`);
});
