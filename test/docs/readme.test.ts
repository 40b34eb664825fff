import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '#mner/config/load.js';
import { mner } from '../support/worker-process.js';
import { commandsOf, environmentOf, runCommands } from './commands.js';

const ROOT = resolve(import.meta.dirname, '../..');
const README = read('README.md');
const PAGES = [
  'README.md',
  'DESIGN.md',
  'CHANGELOG.md',
  ...readdirSync(join(ROOT, 'docs'))
    .filter((file) => file.endsWith('.md'))
    .map((file) => `docs/${file}`),
];

function read(file: string): string {
  return readFileSync(join(ROOT, file), 'utf8');
}

describe('the documents', () => {
  it.each(PAGES)('%s links only to files that exist', (page) => {
    const links = [...read(page).matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, link]) => link as string);
    expect(links.filter((link) => !existsSync(resolve(ROOT, dirname(page), link)))).toEqual([]);
  });

  it('the README shows the example configuration as it is', () => {
    expect(README).toContain(read('docs/examples/mner.yaml').trim());
  });

  it('the example configuration is valid, once its secret lies where it says', () => {
    const folder = mkdtempSync(join(tmpdir(), 'mner-docs-'));
    writeFileSync(join(folder, 'secret'), 'pass');
    const file = join(folder, 'mner.yaml');
    writeFileSync(file, read('docs/examples/mner.yaml').replace('/run/secrets/kafka', join(folder, 'secret')));
    expect(loadConfig({ file, env: {} }).config.brokers).toEqual(['kafka-1:9093', 'kafka-2:9093']);
  });

  it('the README names every command, and every command that it names is one', async () => {
    const { stdout } = await mner(['--help']);
    const commands = [...stdout.matchAll(/^ {2}([a-z]+)(?: |$)/gm)]
      .map(([, name]) => name as string)
      .filter((name) => name !== 'help');
    expect(commands.length).toBeGreaterThan(8);
    const section = README.slice(README.indexOf('## Commands'), README.indexOf('## In and out'));
    const table = [...section.matchAll(/^\| `([a-z]+)/gm)].map(([, name]) => name as string);
    expect(table.filter((name) => name !== 'mner').sort()).toEqual([...commands].sort());
  });
});

const missing = process.env.MNER_TEST_BROKERS && process.env.MNER_TEST_REDIS_URL ? '' : ' (skipped: no servers)';

describe.skipIf(missing !== '')(`the README's commands${missing}`, () => {
  const lines = commandsOf(README);

  it('run in the order of the page, the worker beside those that follow it', async () => {
    expect(lines.length).toBeGreaterThan(5);
    for (const { line, code, stderr } of await runCommands(lines, environmentOf('readme'))) {
      expect([line, code, code === 0 ? '' : stderr]).toEqual([line, 0, '']);
    }
  }, 300_000);
});
