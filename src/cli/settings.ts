import { type Command, Option } from 'commander';
import { configFlags, pickFlags } from '../config/flags.js';
import { type LoadedConfig, loadConfig } from '../config/load.js';

/** Gives a command every key of the configuration as a flag. Only `run` lists them in its help; the others point there. */
export function addConfigOptions(command: Command, { except = [] as readonly string[], listed = false } = {}): Command {
  for (const { flags, key, description, env } of configFlags()) {
    if (except.includes(key)) continue;
    const option = new Option(flags, `${description} [${env}]`);
    command.addOption(listed ? option.helpGroup('Configuration:') : option.hideHelp());
  }
  if (!listed)
    command.addHelpText('after', '\nEvery key of the configuration is a flag here too: see `mner run --help`.');
  return command;
}

/**
 * The configuration that a command was called with: file, environment, flags, in rising order.
 *
 * @param overrides what the command itself insists on, stronger than all
 * @throws MnerError `bad_config`
 */
export function settingsOf(command: Command, overrides: Readonly<Record<string, unknown>> = {}): LoadedConfig {
  const options = command.optsWithGlobals<Record<string, unknown>>();
  const { config: file } = options;
  return loadConfig({
    ...(typeof file === 'string' ? { file } : {}),
    flags: { ...pickFlags(options), ...overrides },
  });
}

/** For commands that read a file: no picture is shed, and none runs out of its budget by standing in the queue. */
const PATIENT = { image_overload: 'wait', image_budget_ms: 120_000 } as const;

/**
 * As {@link settingsOf}, for commands that read a file: they can wait for its pictures, and what is found must not depend
 * on how fast this machine is. What the user has set stays.
 */
export function patientSettingsOf(command: Command, overrides: Readonly<Record<string, unknown>> = {}): LoadedConfig {
  const { origins } = settingsOf(command, overrides);
  const open = Object.entries(PATIENT).filter(([key]) => origins[key as keyof typeof PATIENT] === 'default');
  const loaded = settingsOf(command, { ...Object.fromEntries(open), ...overrides });
  return { ...loaded, origins };
}
