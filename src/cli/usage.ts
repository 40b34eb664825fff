import type { Command, CommanderError } from 'commander';
import { unknownFlag } from '../config/flags.js';
import { nearest, unknownName } from '../config/nearest.js';
import { MnerError } from '../errors.js';

/**
 * Makes every complaint about the way a command was called one sentence of ours with exit code 2. Commander's own helps with flags
 * that look alike, but knows nothing of the configuration's, and may quote a value that is a secret.
 */
export function complainInOurWords(command: Command): void {
  command.configureOutput({ outputError: () => {} }).exitOverride((error) => {
    throw isHelp(error) ? error : usageError(error, command);
  });
  for (const one of command.commands) complainInOurWords(one);
}

/** Commander ends a call for help with an error too. */
function isHelp({ code }: CommanderError): boolean {
  return code === 'commander.help' || code === 'commander.helpDisplayed';
}

function usageError({ code, message }: CommanderError, command: Command): MnerError {
  const named = /'([^']*)'/.exec(message)?.[1] ?? '';
  const path = pathOf(command);
  if (code === 'commander.unknownOption') {
    return unknownFlag(
      named,
      command.options.flatMap(({ long }) => long ?? []),
    );
  }
  if (code === 'commander.unknownCommand') {
    const names = command.commands.map((one) => one.name());
    return new MnerError(
      'bad_input',
      unknownName(`The command ${named}`, nearest(named, names), `\`${path} --help\` lists all of them`),
    );
  }
  const [sentence = ''] = message.replace(/^error: /, '').split('\n');
  const what = `${sentence.charAt(0).toUpperCase()}${sentence.slice(1).replace(/\.$/, '')}`;
  return new MnerError('bad_input', `${what}; see \`${path} --help\`.`);
}

function pathOf(command: Command): string {
  return command.parent ? `${pathOf(command.parent)} ${command.name()}` : command.name();
}
