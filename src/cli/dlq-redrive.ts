import { createInterface } from 'node:readline/promises';
import type { Command } from 'commander';
import { systemClock } from '../clock.js';
import { MnerError } from '../errors.js';
import { LEFT, type Left, type Redrive, type RedriveOptions, redrive } from '../stream/redrive.js';
import { type FilterOptions, filterOf, jsonOf, maxOf, withDeadLetters } from './dlq.js';
import { numberOption } from './options.js';
import { printLine, progress, say } from './print.js';
import { untilSignal } from './signals.js';

type Options = FilterOptions & { maxAttempts: string; dryRun?: boolean; yes?: boolean; json?: boolean };

/** `mner dlq redrive`: sends dead letters back where they came from, each once; `stream/redrive.ts` says how that holds. */
export async function redriveCommand(command: Command): Promise<void> {
  const options = command.opts<Options>();
  const dryRun = options.dryRun ?? false;
  const [filter, max] = [filterOf(options, systemClock.wall()), maxOf(options)];
  const maxAttempts = numberOption('--max-attempts', options.maxAttempts, 1, 1e9);
  if (!dryRun && !options.yes && !process.stdin.isTTY)
    throw new MnerError(
      'bad_input',
      'There is nobody to ask whether to send the dead letters back; say --yes, or --dry-run.',
    );
  await withDeadLetters(command, async (broker, config) => {
    const { dead_letter_topic: topic, group, transaction_timeout_ms: timeoutMs } = config;
    const common = { broker, topic, group, filter, max, maxAttempts, timeoutMs };
    if (!dryRun && !options.yes && !(await agreed(common))) return say('Nothing was sent.');

    const stop = new AbortController();
    const over = new AbortController();
    void untilSignal(over.signal).then(() => stop.abort());
    const bar = progress();
    let count = 0;
    const sent: RedriveOptions['sent'] = (letter) => {
      count += 1;
      bar.update(`${count} ${dryRun ? 'would be sent back' : 'sent back'}`);
      if (options.json) void printLine(JSON.stringify(jsonOf(letter, !dryRun)));
    };
    try {
      const result = await redrive({ ...common, dryRun, signal: stop.signal, sent });
      bar.done();
      for (const line of report(result, dryRun, maxAttempts)) say(line);
      if (stop.signal.aborted) say('It was stopped before the end; run it again for the rest.');
    } catch (error) {
      bar.done();
      if (count > 0) say(`${count} were sent back; run it again for the rest, none is sent twice.`);
      throw error;
    } finally {
      over.abort();
    }
  });
}

/** Counts what would be sent, and asks. */
async function agreed(common: Omit<RedriveOptions, 'dryRun'>): Promise<boolean> {
  const would = await redrive({ ...common, dryRun: true });
  for (const line of report(would, true, common.maxAttempts)) say(line);
  if (would.sent === 0) return false;
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await terminal.question(`Send ${would.sent} back? [y/N] `)).trim());
  } finally {
    terminal.close();
  }
}

const WHY: Readonly<Record<Left, (maxAttempts: number) => string>> = {
  attempts: (max) => `failed ${max} times or more (--max-attempts)`,
  truncated: () => 'truncated: their bytes are not in the dead letter',
  no_source: () => 'no dead letters of this worker: they do not say where they came from',
  source_missing: () => 'from a topic or a partition that does not exist',
  too_large: () => 'larger than their topic accepts now',
  refused: () => 'without a key, and their topic is compacted now',
};

function report({ sent, before, left }: Redrive, dryRun: boolean, maxAttempts: number): string[] {
  const lines = [`${sent} ${dryRun ? 'would be sent back' : 'sent back'}.`];
  if (before > 0) lines.push(`${before} were sent back before, and are not sent again.`);
  for (const why of LEFT) if (left[why] > 0) lines.push(`${left[why]} left: ${WHY[why](maxAttempts)}.`);
  return lines;
}
