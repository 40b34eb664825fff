import { createHash } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { page } from './page.js';
import { PAGE_SCRIPT } from './page-script.js';
import { PAGE_STYLE } from './page-style.js';
import { send } from './reply.js';

const PAGE = page(PAGE_STYLE, PAGE_SCRIPT);

/** Nothing but the page's own style and script, known by their hashes; no resource from elsewhere; no framing. */
const POLICY = [
  "default-src 'none'",
  `style-src '${hash(PAGE_STYLE)}'`,
  `script-src '${hash(PAGE_SCRIPT)}'`,
  "connect-src 'self'",
  'img-src blob: data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** Answers with the playground. */
export function sendPlayground(response: ServerResponse): void {
  response.setHeader('content-security-policy', POLICY);
  response.setHeader('referrer-policy', 'no-referrer');
  send(response, 200, 'text/html; charset=utf-8', PAGE);
}

function hash(text: string): string {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`;
}
