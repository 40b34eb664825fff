import { expect, it } from 'vitest';
import { FIELDS } from '#mner/config/fields.js';
import { mner } from '../support/worker-process.js';

const COMMANDS = [
  'run',
  'extract',
  'check',
  'evaluate',
  'bench',
  'produce',
  'tail',
  'topics',
  'dlq',
  'image',
  'bundle',
  'config',
  'demo',
];

it('--help lists every command, on stdout', async () => {
  const { code, stdout, stderr } = await mner(['--help']);
  expect(code).toBe(0);
  expect(stderr).toBe('');
  for (const command of COMMANDS) expect(stdout).toMatch(new RegExp(`^ {2}${command}\\b`, 'm'));
});

it('run --help lists every key of the configuration, with its variable', async () => {
  const { code, stdout } = await mner(['run', '--help']);
  expect(code).toBe(0);
  for (const { flag, env } of FIELDS) {
    expect(stdout).toContain(`${flag} <`.replace(/ <$/, ''));
    expect(stdout.replace(/\s+/g, ' ')).toContain(`[${env}]`);
  }
});

it.concurrent.for<[args: string[], says: string]>([
  [['nonsense'], 'The command nonsense is unknown; `mner --help` lists all of them.'],
  [['extrct'], 'The command extrct is unknown; did you mean extract?'],
  [['bundle', 'lst'], 'The command lst is unknown; did you mean list?'],
  [['run', '--inptu-topic', 'x'], 'The flag --inptu-topic is unknown; did you mean --input-topic?'],
  [['extract', '--prety'], 'The flag --prety is unknown; did you mean --pretty?'],
  [['run', '--zzz'], 'The flag --zzz is unknown; `--help` lists all of them.'],
  // What stands behind the equals sign may be a secret.
  [
    ['run', '--kafka-sasl-pasword=hunter2'],
    'The flag --kafka-sasl-pasword is unknown; did you mean --kafka-sasl-password?',
  ],
  [['run', '--http-port'], "Option '--http-port <port>' argument missing; see `mner run --help`."],
  [['evaluate'], "Required option '--data <file>' not specified; see `mner evaluate --help`."],
  [['bundle', 'show'], "Missing required argument 'name'; see `mner bundle show --help`."],
  [['tail', '--max', 'many'], '--max takes a number from 1 to 1000000000000, not "many".'],
])('%j is refused in one sentence with exit code 2', async ([args, says], { expect }) => {
  expect(await mner(args)).toEqual({ code: 2, stdout: '', stderr: `mner: ${says}\n` });
});

it('a broker that is not there is named with what to do, and not with the refusal alone', async () => {
  const { code, stderr } = await mner(['topics'], { env: { MNER_BROKERS: '127.0.0.1:1' } });
  const why = 'Cannot reach Kafka at 127.0.0.1:1: Connection error: connect ECONNREFUSED 127.0.0.1:1.';
  expect([code, stderr]).toEqual([4, `mner: ${why} Check \`MNER_BROKERS\` and that Kafka runs.\n`]);
});
