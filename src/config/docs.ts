import { z } from 'zod';
import { about, SECTIONS } from './about.js';
import { FIELDS, type Field, fieldOf, writeText } from './fields.js';
import { LAWS } from './laws.js';
import type { LoadedConfig } from './load.js';
import { redactConfig } from './redact.js';
import { configSchema } from './schema.js';

/** One line of `mner config print`. */
export interface ConfigRow {
  readonly key: string;
  /** Secrets are hidden. */
  readonly value: unknown;
  /** The value as the environment would have it. */
  readonly text: string;
  readonly origin: string;
}

/** The effective configuration, as `mner config print` and `/info` may show it. */
export function configRows({ config, origins }: LoadedConfig): ConfigRow[] {
  const shown = redactConfig(config);
  return FIELDS.map((field) => {
    const value = shown[field.key];
    return { key: field.key, value, text: writeText(field, value), origin: origins[field.key] };
  });
}

/** JSON Schema (draft 2020-12) of a configuration file. */
export function configJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(configSchema, {
    io: 'input',
    override: ({ zodSchema, jsonSchema }) => {
      const said = about.get(zodSchema);
      if (!said) return;
      jsonSchema.description = said.description;
      if (said.secret) jsonSchema.writeOnly = true;
    },
  });
  const properties: Record<string, unknown> = {};
  for (const [key, property] of Object.entries(schema.properties ?? {})) {
    properties[key] = property;
    if (fieldOf(key)?.secret) {
      properties[`${key}_file`] = { type: 'string', description: `File that holds \`${key}\`.` };
    }
  }
  return { ...schema, title: 'Configuration of mner-stream', properties };
}

/** The page docs/configuration.md. */
export function configMarkdown(): string {
  const sections = SECTIONS.map((section) => {
    const rows = FIELDS.filter((field) => field.section === section).map(rowOf);
    return `## ${section}\n\n| key | default | allowed | what it does |\n|---|---|---|---|\n${rows.join('\n')}\n`;
  });
  const laws = LAWS.map(({ rule, reason }) => `* ${rule}, since ${reason}.`);
  return `${INTRODUCTION}\n${sections.join('\n')}\n## Laws across fields\n\nChecked at every start:\n\n${laws.join('\n')}\n`;
}

function rowOf(field: Field): string {
  const notes: string[] = [field.description];
  if (field.alias !== undefined) notes.push(`\`${field.alias}\` works too.`);
  if (field.secret) notes.push(`Secret: also as \`${field.env}_FILE\`.`);
  const allowed = field.unit === undefined ? field.allowed : `${field.allowed} (${UNITS[field.unit]})`;
  const cells = [`\`${field.key}\``, field.defaultText, allowed, notes.join(' ')];
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

const UNITS = { ms: 'milliseconds', s: 'seconds', bytes: 'bytes', records: 'records', tokens: 'tokens' } as const;

const INTRODUCTION = `# Configuration

This page is made from \`src/config/schema.ts\`: \`mner config docs\` prints it, \`mner config schema\` prints the JSON Schema of a
file, and \`mner config print\` prints what is in force and where each value comes from, with secrets hidden.

A value comes from, in rising order: its default; a file (\`--config FILE\` or \`MNER_CONFIG\`, YAML or JSON, with the keys below); the
environment (\`MNER_\` and the key in capitals: \`input_topic\` is \`MNER_INPUT_TOPIC\`); a flag (\`--input-topic\`). Lists are separated by
commas, and may be lists in a file. A switch is \`true\` or \`false\` (\`on\`, \`off\`, \`yes\`, \`no\`, \`1\` and \`0\` are understood); as a flag it is
\`--playground\` or \`--no-playground\`. An empty variable counts as unset.

A secret may come from a file instead: \`MNER_KAFKA_SASL_PASSWORD_FILE=/run/secrets/kafka\`.

A key, a variable that begins with \`MNER_\`, or a flag that is not known is an error, so that a typing mistake does not pass for a
setting. Variables that Kubernetes sets for services are left alone, and so is \`MNER_TEST_…\`, which is the tests' own.
`;
