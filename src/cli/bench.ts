import { writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { systemClock } from '../clock.js';
import { asMnerError, ERRORS, MnerError } from '../errors.js';
import type { Figure, TimedResult } from './bench/figure.js';
import { chooseFigures, PEERS } from './bench/figures.js';
import { type Lab, openLab } from './bench/lab.js';
import { documentOf, formatResults, machineOf } from './bench/report.js';
import { numberOption } from './options.js';
import { printLine, say } from './print.js';
import { settingsOf } from './settings.js';

interface BenchOptions {
  readonly only?: string;
  readonly peers?: boolean;
  readonly json?: string;
  readonly tweets?: string;
  readonly windows: string;
  readonly seconds?: string;
  readonly minutes: string;
}

/** Length of a window in seconds, and where `--only` names the figures, so that each is done within a minute or two. */
const SECONDS = '10';
const ONLY_SECONDS = '5';

/** `mner bench`: measures figures one after the other and prints them beside their goals. */
export async function bench(command: Command): Promise<void> {
  const options = command.opts<BenchOptions>();
  if (options.peers && options.only !== undefined) {
    throw new MnerError('bad_input', '--peers and --only cannot be used together: each says what is measured.');
  }
  const figures = options.peers ? PEERS : chooseFigures(options.only);
  const lab = await openLab(command, settingsOf(command), {
    ...(options.tweets === undefined ? {} : { tweets: options.tweets }),
    windows: numberOption('--windows', options.windows, 1, 1000),
    seconds: numberOption(
      '--seconds',
      options.seconds ?? (options.only === undefined && !options.peers ? SECONDS : ONLY_SECONDS),
      0.1,
      3600,
    ),
    minutes: numberOption('--minutes', options.minutes, 0.01, 600),
    chosen: figures.map(({ name }) => name),
  });
  try {
    const machine = machineOf(lab);
    say(`Measuring with ${lab.set.length} of ${lab.source}.`);
    const results = await measureAll(figures, lab);
    // The table first: a file that cannot be written costs nobody half an hour of measuring.
    if (results.length > 0) await printLine(formatResults(results));
    if (options.json !== undefined) await writeJson(options.json, documentOf(results, machine));
  } finally {
    await lab.stop();
  }
}

/** One figure that cannot be measured takes none of the others with it; the exit code tells. */
async function measureAll(figures: readonly Figure[], lab: Lab): Promise<TimedResult[]> {
  const results: TimedResult[] = [];
  for (const [i, figure] of figures.entries()) {
    say(`${i + 1} of ${figures.length}, ${figure.name}: ${figure.meaning}`);
    const from = systemClock.now();
    try {
      const measured = await figure.measure(lab);
      const wallSeconds = (systemClock.now() - from) / 1000;
      if ('skipped' in measured) say(`  skipped: ${measured.skipped}.`);
      say(`  took ${wallSeconds.toFixed(1)} s`);
      results.push({ figure, ...measured, wallSeconds });
    } catch (thrown) {
      const error = asMnerError(thrown);
      say(`  not measured: ${error.message}`);
      process.exitCode = ERRORS[error.code].exit;
    }
  }
  return results;
}

async function writeJson(file: string, document: object): Promise<void> {
  try {
    await writeFile(file, `${JSON.stringify(document, null, 2)}\n`);
  } catch {
    throw new MnerError('bad_input', `The file ${file} cannot be written.`);
  }
}
