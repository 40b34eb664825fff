#!/usr/bin/env node
import { Command, CommanderError } from 'commander';
import { asMnerError, ERRORS, inFull } from '../errors.js';
import { say } from './print.js';
import { complainInOurWords } from './usage.js';

/** Commands load their code when they are called, so that `mner --help` answers at once. */
const program = new Command('mner')
  .description('Reads tweets with pictures from Kafka and publishes the entities that they mention.')
  .configureHelp({ sortSubcommands: false, showGlobalOptions: true })
  .enablePositionalOptions();

const { addConfigOptions } = await import('./settings.js');

addConfigOptions(program.command('run'), { listed: true })
  .description('run the worker until it is told to stop')
  .action(async (_options, command: Command) => (await import('./run.js')).run(command));

addConfigOptions(program.command('extract'))
  .description('read tweets as NDJSON and print their entities as NDJSON, without a broker')
  .argument('[file]', 'NDJSON file, or - for standard input', '-')
  .option('--text <text>', 'one tweet by its text')
  .option('--image <file|url>', 'the picture that goes with --text')
  .option('--pretty', 'print for people')
  .option('--explain', 'say why: the weight of each region of the picture, and the text read beside the tweet')
  .action(async (file: string, _options, command: Command) => (await import('./extract.js')).extract(file, command));

addConfigOptions(program.command('check'))
  .description('say what works: configuration, broker, topics, Redis, bundle, execution provider')
  .option('--json', 'print JSON')
  .action(async (_options, command: Command) => (await import('./check.js')).check(command));

addConfigOptions(program.command('evaluate'), { except: ['mentions'] })
  .description('measure precision, recall and F1 on labelled tweets')
  .requiredOption('--data <file>', 'CoNLL file with IMGID lines')
  .option('--images <dir>', 'folder with the pictures, named <IMGID>.jpg')
  .option('--captions <file>', 'captions of the pictures, `image id<TAB>caption`')
  .option('--no-image', 'read the texts alone')
  .option('--raw', 'join the words and tokenise them again, as the worker does')
  .option('--mentions <how>', 'whether @name may be an entity: auto, ignore or entity', 'auto')
  .option('--train <file>', 'CoNLL file that the model was trained on, to tell entities seen there from others')
  .option('--against <bundle>', 'another bundle, compared with this one on the same tweets')
  .option('--samples <n>', 'samples of the bootstrap, and rounds of the test', '1000')
  .option('--seed <n>', 'seed of both', '1')
  .option('--json', 'print JSON')
  .action(async (_options, command: Command) => (await import('./evaluate.js')).evaluate(command));

addConfigOptions(program.command('bench'))
  .description('measure the figures that docs/benchmarks.md explains')
  .option('--only <names>', 'the figures to measure, separated by commas')
  .option('--peers', 'measure against what one would write instead (bench/peers)')
  .option('--json <file>', 'write the figures with their samples')
  .option('--tweets <file>', 'NDJSON of the tweets to measure with')
  .option('--windows <n>', 'windows for each side', '5')
  .option('--seconds <n>', 'length of a window in seconds (default: 10, with --only or --peers 5)')
  .option('--minutes <n>', 'length of the measurement of memory in minutes', '10')
  .action(async (_options, command: Command) => (await import('./bench.js')).bench(command));

addConfigOptions(program.command('produce'))
  .description('send NDJSON to the input topic')
  .argument('<file>', 'NDJSON file, or - for standard input')
  .option('--rate <n>', 'tweets per second', '0')
  .action(async (file: string, _options, command: Command) => (await import('./produce.js')).produce(file, command));

addConfigOptions(program.command('tail'))
  .description('read the output topic')
  .option('--from-beginning', 'start with the oldest record')
  .option('--max <n>', 'stop after so many records')
  .option('--json', 'print NDJSON')
  .action(async (_options, command: Command) => (await import('./tail.js')).tail(command));

const dlq = program.command('dlq').description('look at dead letters and send them back');
for (const [name, what] of [
  ['list', 'list the dead letters'],
  ['show', 'show one whole, the text of its tweet too'],
  ['redrive', 'send them back to the topic that they came from, each once'],
] as const) {
  const command = addConfigOptions(dlq.command(name)).description(what).option('--json', 'print JSON');
  if (name === 'show')
    command
      .argument('<partition/offset>', 'where it lies in the dead-letter topic')
      .option('--raw', 'print the bytes of its value and nothing else')
      .action(async (place: string, _options, command: Command) =>
        (await import('./dlq-show.js')).show(place, command),
      );
  else
    command
      .option('--code <codes>', 'only these error codes, separated by commas')
      .option('--class <classes>', 'only these error classes, separated by commas')
      .option('--partition <numbers>', 'only these partitions of the dead-letter topic, separated by commas')
      .option('--source-topic <topics>', 'only records that came from these topics, separated by commas')
      .option('--since <when>', 'only those that failed since then: an age (90s, 15m, 2h, 3d) or a time in RFC 3339')
      .option('--max <n>', 'at most so many');
  if (name === 'list')
    command
      .option('--summary', 'count them by code')
      .action(async (_options, command: Command) => (await import('./dlq-list.js')).list(command));
  if (name === 'redrive')
    command
      .option('--max-attempts <n>', 'leave those that failed so often', '3')
      .option('--dry-run', 'say what would be sent, and send nothing')
      .option('--yes', 'do not ask')
      .action(async (_options, command: Command) => (await import('./dlq-redrive.js')).redriveCommand(command));
}

addConfigOptions(program.command('topics'))
  .description('check the topics, or create those that are missing')
  .option('--create', 'create what is missing')
  .option('--partitions <n>', 'partitions of a new topic', '12')
  .option('--replicas <n>', 'replicas of a new topic', '1')
  .option('--json', 'print JSON')
  .action(async (_options, command: Command) => (await import('./topics.js')).topics(command));

addConfigOptions(program.command('image'))
  .description('show what the pipeline sees in one picture')
  .argument('<url|file>', 'the picture')
  .option('--text <text>', 'a text that it stands beside, for the relevance')
  .option('--save <file>', "draw the objects, and with --text the gate's weights, over the picture")
  .option('--json', 'print JSON')
  .action(async (source: string, _options, command: Command) => (await import('./image.js')).image(source, command));

const bundle = program.command('bundle').description('look at model bundles');
for (const [name, what] of [
  ['list', 'list the bundles'],
  ['show', 'print the manifest of one'],
  ['verify', 'check every file against its checksum'],
] as const) {
  addConfigOptions(bundle.command(name))
    .description(what)
    .argument(name === 'show' ? '<name>' : '[name]', 'the bundle')
    .option('--json', 'print JSON')
    .action(async (which: string | undefined, _options, command: Command) =>
      (await import('./bundle.js')).bundle(name, which, command),
    );
}

const config = program.command('config').description('look at the configuration');
for (const [name, what] of [
  ['print', 'print what is in force, secrets hidden'],
  ['schema', 'print its JSON Schema'],
  ['docs', 'print its table for the documentation'],
] as const) {
  addConfigOptions(config.command(name))
    .description(what)
    .option('--json', 'print JSON')
    .action(async (_options, command: Command) => (await import('./config.js')).config(name, command));
}

addConfigOptions(program.command('demo'))
  .description('start everything, send sample tweets, show what comes out, serve the playground')
  .option('--once', 'end after the samples')
  .option('--port <n>', 'port of the playground', '8080')
  .action(async (_options, command: Command) => (await import('./demo.js')).demo(command));

// A reader that has seen enough closes the pipe (`mner extract … | head`); that is no fault of anybody's.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

// Talk that cannot be written, on a full disk say, changes nothing: neither what is done nor the exit code.
process.stderr.on('error', () => {});

complainInOurWords(program);

// Timers of the clock port keep no process alive, so a command that only waits for one would end without a word.
const alive = setInterval(() => {}, 60_000);
try {
  await program.parseAsync();
} catch (thrown) {
  process.exitCode = thrown instanceof CommanderError ? thrown.exitCode : complain(asMnerError(thrown));
} finally {
  clearInterval(alive);
  // What still hangs, say on a socket that never answers, must not hold up the end; what was written must get out first.
  process.stdout.write('', () => process.stderr.write('', () => process.exit()));
}

/** Says what went wrong, why, and what to do; gives the exit code. */
function complain(error: ReturnType<typeof asMnerError>): number {
  say(`mner: ${inFull(error)}`);
  if (error.code === 'internal' && process.env.MNER_LOG_LEVEL === 'debug') say(String(error.stack));
  return ERRORS[error.code].exit;
}
