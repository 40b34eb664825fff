/** Data goes to stdout, talk goes to stderr; nothing else in cli/ writes to either. */

/** One line of data. Resolves when the pipe has taken it, so that a slow reader slows us down and nothing piles up. */
export function printLine(line: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(`${line}\n`, (error) => (error ? reject(error) : resolve()));
  });
}

/** Bytes of data, as they are. Resolves when the pipe has taken them. */
export function printBytes(bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(bytes, (error) => (error ? reject(error) : resolve()));
  });
}

/** One line of talk for people. */
export function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

export interface Column<Row> {
  readonly title: string;
  readonly of: (row: Row) => string | number;
  /** @default 'left' */
  readonly align?: 'left' | 'right';
}

/** Rows as a table for people, its columns as wide as their widest cell. */
export function formatTable<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): string {
  const cells = rows.map((row) => columns.map((column) => String(column.of(row))));
  const widths = columns.map((column, i) => Math.max(column.title.length, ...cells.map((row) => row[i]?.length ?? 0)));
  const line = (texts: readonly string[]) =>
    texts
      .map((text, i) => (columns[i]?.align === 'right' ? text.padStart(widths[i] ?? 0) : text.padEnd(widths[i] ?? 0)))
      .join('  ')
      .trimEnd();
  return [line(columns.map((column) => column.title)), ...cells.map(line)].join('\n');
}

/** Colours a word on a terminal, and leaves it alone in a pipe or under NO_COLOR. */
export function colour(code: number, text: string, stream: NodeJS.WriteStream = process.stdout): string {
  return stream.isTTY && !process.env.NO_COLOR ? `\u001b[${code}m${text}\u001b[0m` : text;
}

/** A progress line that rewrites itself on a terminal and is silent elsewhere. */
export function progress(): { update(line: string): void; done(): void } {
  const shown = process.stderr.isTTY;
  return {
    update: (line) => {
      if (shown) process.stderr.write(`\r\u001b[2K${line}`);
    },
    done: () => {
      if (shown) process.stderr.write('\r\u001b[2K');
    },
  };
}
