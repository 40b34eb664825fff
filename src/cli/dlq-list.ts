import type { Command } from 'commander';
import { systemClock } from '../clock.js';
import { type DeadLetterView, isMeant, viewDeadLetter } from '../stream/dead-letter-view.js';
import { readToEnd } from '../stream/read-to-end.js';
import { redriveGroup } from '../stream/redrive.js';
import { readRedriven } from '../stream/redriven.js';
import { ageOf, type FilterOptions, filterOf, inLine, jsonOf, maxOf, sourceText, withDeadLetters } from './dlq.js';
import { type Column, formatTable, printLine, progress, say } from './print.js';

/** `mner dlq list`: the dead letters that are there now; the tweets in them are not shown. */
export async function list(command: Command): Promise<void> {
  const options = command.opts<FilterOptions & { json?: boolean; summary?: boolean }>();
  const now = systemClock.wall();
  const [filter, max] = [filterOf(options, now), maxOf(options)];
  await withDeadLetters(command, async (broker, config) => {
    const topic = config.dead_letter_topic;
    const group = redriveGroup(config.group);
    const ledgers = new Map((await broker.offsets(topic, group)).map((one) => [one.partition, readRedriven(one)]));
    const bar = progress();
    const rows: Row[] = [];
    const counts = new Map<string, Count>();
    let [read, found] = [0, 0];
    await readToEnd({
      broker,
      topic,
      group: `${group}.reader`,
      partitions: filter.partitions,
      async take(records) {
        read += records.length;
        for (const record of records) {
          const letter = viewDeadLetter(record);
          if (found >= max || !isMeant(letter, filter)) continue;
          found += 1;
          const sentBack = ledgers.get(letter.partition)?.has(letter.offset) ?? false;
          if (options.summary) count(counts, letter, sentBack);
          else if (options.json) await printLine(JSON.stringify(jsonOf(letter, sentBack)));
          // Without its bytes, of which there may be many.
          else rows.push({ letter: { ...letter, value: null, headers: [] }, sentBack });
        }
        bar.update(`${read} dead letters read, ${found} found`);
        return found < max;
      },
    });
    bar.done();
    if (options.summary) {
      const all = [...counts.values()].sort((a, b) => b.count - a.count);
      await printLine(options.json ? JSON.stringify(all) : formatTable(all, SUMMARY));
    } else if (!options.json && rows.length > 0) await printLine(formatTable(rows, columns(now)));
    if (!options.json) say(`${found} ${found === 1 ? 'dead letter' : 'dead letters'} in ${topic}.`);
  });
}

interface Row {
  readonly letter: DeadLetterView;
  readonly sentBack: boolean;
}

interface Count {
  readonly code: string | null;
  readonly class: string | null;
  count: number;
  sent_back: number;
}

function count(counts: Map<string, Count>, letter: DeadLetterView, sentBack: boolean): void {
  const { code, class: kind } = letter;
  const held = counts.get(String(code)) ?? { code, class: kind, count: 0, sent_back: 0 };
  held.count += 1;
  held.sent_back += sentBack ? 1 : 0;
  counts.set(String(code), held);
}

const SUMMARY: readonly Column<Count>[] = [
  { title: 'CODE', of: (row) => row.code ?? 'unknown' },
  { title: 'CLASS', of: (row) => row.class ?? 'unknown' },
  { title: 'COUNT', of: (row) => row.count, align: 'right' },
  { title: 'SENT BACK', of: (row) => row.sent_back, align: 'right' },
];

/** Characters of a key that the table has room for. */
const KEY_WIDTH = 32;

function columns(now: number): readonly Column<Row>[] {
  return [
    { title: 'PARTITION', of: ({ letter }) => letter.partition, align: 'right' },
    { title: 'OFFSET', of: ({ letter }) => String(letter.offset), align: 'right' },
    { title: 'CODE', of: ({ letter }) => letter.code ?? 'unknown' },
    { title: 'CLASS', of: ({ letter }) => letter.class ?? 'unknown' },
    { title: 'ATTEMPTS', of: ({ letter }) => letter.attempts, align: 'right' },
    { title: 'SOURCE', of: ({ letter }) => sourceText(letter) },
    { title: 'AGE', of: ({ letter }) => ageOf(now - letter.timestamp), align: 'right' },
    { title: 'KEY', of: ({ letter }) => shortened(inLine(letter.key)) },
    { title: 'SENT BACK', of: ({ sentBack }) => (sentBack ? 'yes' : 'no') },
  ];
}

function shortened(text: string): string {
  return text.length > KEY_WIDTH ? `${text.slice(0, KEY_WIDTH - 1)}…` : text;
}
