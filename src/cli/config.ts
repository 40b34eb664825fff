import type { Command } from 'commander';
import { configJsonSchema, configMarkdown, configRows } from '../config/docs.js';
import { formatTable, printLine } from './print.js';
import { settingsOf } from './settings.js';

/** `mner config print|schema|docs`. */
export async function config(what: 'print' | 'schema' | 'docs', command: Command): Promise<void> {
  if (what === 'schema') return printLine(JSON.stringify(configJsonSchema(), null, 2));
  if (what === 'docs') return printLine(configMarkdown());
  const rows = configRows(settingsOf(command));
  if (command.opts().json)
    return printLine(JSON.stringify(Object.fromEntries(rows.map((row) => [row.key, row.value]))));
  await printLine(
    formatTable(rows, [
      { title: 'KEY', of: (row) => row.key },
      { title: 'VALUE', of: (row) => row.text },
      { title: 'FROM', of: (row) => row.origin },
    ]),
  );
}
