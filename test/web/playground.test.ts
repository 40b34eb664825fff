import { createHash } from 'node:crypto';
import { Script } from 'node:vm';
import { expect, test } from 'vitest';
import { serve } from './harness.js';

async function load() {
  const { url } = await serve({ extract: async () => ({ ok: true, record: {} }) });
  const response = await fetch(url('/'));
  return { response, html: await response.text() };
}

test('the page is HTML under a policy that lets nothing in from elsewhere', async () => {
  const { response, html } = await load();
  expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8');
  const policy = response.headers.get('content-security-policy') ?? '';
  expect(policy).toContain("default-src 'none'");
  expect(policy).not.toMatch(/unsafe|https?:/);
  for (const [tag, directive] of [
    ['style', 'style-src'],
    ['script', 'script-src'],
  ]) {
    const content = new RegExp(`<${tag}>([\\s\\S]*?)</${tag}>`).exec(html)?.[1] ?? '';
    const hash = createHash('sha256').update(content).digest('base64');
    expect(policy).toContain(`${directive} 'sha256-${hash}'`);
  }
});

test('no resource comes from outside, and no inline handler or style breaks the policy', async () => {
  const { html } = await load();
  expect(html.match(/\b(?:src|href)="[^"]*"/g)).toEqual(['href="data:,"']);
  expect(html).not.toMatch(/\son\w+="|\sstyle="|@import|url\(/);
});

test('every control has a label, and results are announced', async () => {
  const { html } = await load();
  const ids = [...html.matchAll(/<(?:input|textarea)[^>]*\bid="([^"]+)"/g)].map(([, id]) => id);
  expect(ids).toEqual(['text', 'file', 'url']);
  for (const id of ids) expect(html).toContain(`<label for="${id}">`);
  expect(html).toContain('role="alert"');
  expect(html).toContain('role="status"');
  expect(html).toContain('<html lang="en">');
});

test('the script parses, names only elements that are there, and never sets HTML', async () => {
  const { html } = await load();
  const script = /<script>([\s\S]*?)<\/script>/.exec(html)?.[1] ?? '';
  expect(() => new Script(script)).not.toThrow();
  for (const [, id] of script.matchAll(/\bel\('([^']+)'\)/g)) expect(html).toContain(`id="${id}"`);
  expect(script).not.toMatch(/innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(/);
});
