import { MnerError } from '../errors.js';
import { FIELDS, fieldOf, flagName } from './fields.js';
import { nearest, unknownName } from './nearest.js';

/** A flag of the command line, in the notation of commander. */
export interface ConfigFlag {
  /** For example `--input-topic <topic>`. */
  readonly flags: string;
  /** Key of the value in {@link LoadOptions.flags}; a secret's file has the key with `_file`. */
  readonly key: string;
  readonly description: string;
  /** Names of the environment, for the help. */
  readonly env: string;
}

/** Every flag of the configuration, in the order of the schema, `--config` first. */
export function configFlags(): ConfigFlag[] {
  const flags: ConfigFlag[] = [
    { flags: '--config <file>', key: 'config', description: 'Configuration file, YAML or JSON.', env: 'MNER_CONFIG' },
  ];
  for (const field of FIELDS) {
    const { key, env, flag } = field;
    const description = `${field.description} Default: ${field.defaultText.replaceAll('`', '')}.`;
    if (field.kind === 'boolean') {
      flags.push({ flags: flag, key, description, env });
      flags.push({ flags: `--no-${flag.slice(2)}`, key, description: `Turns ${flag} off.`, env });
    } else {
      flags.push({ flags: `${flag} <${field.value}>`, key, description, env });
    }
    if (field.secret) {
      const fromFile = `Reads ${flag} from a file.`;
      flags.push({ flags: `${flag}-file <file>`, key: `${key}_file`, description: fromFile, env: `${env}_FILE` });
    }
  }
  return flags;
}

/** Takes from commander's options (`inputTopic`) those that belong to the configuration (`input_topic`), `config` left out. */
export function pickFlags(options: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const picked: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(options)) {
    const key = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    if (value !== undefined && knownKeys().includes(key)) picked[key] = value;
  }
  return picked;
}

/** The error for a flag that nobody knows. `others` are flags of the command itself, which may have been meant. */
export function unknownFlag(flag: string, others: readonly string[] = []): MnerError {
  const name = flag.replace(/=.*$/s, '');
  const meant = nearest(name, [...knownKeys().map(flagName), '--config', ...others]);
  return new MnerError('bad_config', unknownName(`The flag ${name}`, meant, '`--help` lists all of them'));
}

/** Keys that may be given: the schema's own, and `…_file` of the secret ones. */
export function knownKeys(): string[] {
  return FIELDS.flatMap(({ key, secret }) => (secret ? [key, `${key}_file`] : [key]));
}

/** The key itself of a secret's `…_file` key; undefined for any other. */
export function secretOfFileKey(key: string): string | undefined {
  const base = key.replace(/_file$/, '');
  return base !== key && fieldOf(key) === undefined && fieldOf(base)?.secret ? base : undefined;
}
