import { z } from 'zod';
import { type About, about } from './about.js';
import { type ConfigKey, configSchema } from './schema.js';

/** One field of the schema, as people and programs name it. */
export interface Field extends About {
  readonly key: ConfigKey;
  /** For example `MNER_INPUT_TOPIC`. */
  readonly env: string;
  /** For example `--input-topic`. */
  readonly flag: string;
  readonly kind: 'text' | 'number' | 'boolean' | 'list';
  readonly allowed: string;
  /** The default in words. */
  readonly defaultText: string;
  readonly type: z.ZodType;
}

/** Every field, in the order of the schema. */
export const FIELDS: readonly Field[] = Object.entries(configSchema.shape).map(([key, type]) =>
  describeField(key as ConfigKey, type),
);

const BY_KEY: ReadonlyMap<string, Field> = new Map(FIELDS.map((field) => [field.key, field]));

/** The field of that name, if there is one. */
export function fieldOf(key: string): Field | undefined {
  return BY_KEY.get(key);
}

/** The environment's name of a key: `input_topic` is `MNER_INPUT_TOPIC`. */
export function envName(key: string): string {
  return `MNER_${key.toUpperCase()}`;
}

/** The flag of a key: `input_topic` is `--input-topic`. */
export function flagName(key: string): string {
  return `--${key.replaceAll('_', '-')}`;
}

/**
 * Reads a text, from the environment, a flag or a file, as the value that the field's type asks for. What cannot be read comes
 * back as it is, for the schema to refuse.
 */
export function readText(field: Field, text: string): unknown {
  if (field.off !== undefined && text.toLowerCase() === field.off) return null;
  if (field.kind === 'number') return /^-?\d+(?:\.\d+)?$/.test(text.trim()) ? Number(text) : text;
  if (field.kind === 'boolean') return SWITCH.get(text.trim().toLowerCase()) ?? text;
  if (field.kind === 'list') return splitList(text);
  return text;
}

/** How a value would be written in the environment. */
export function writeText(field: Field, value: unknown): string {
  if (value === null) return field.off ?? '';
  return Array.isArray(value) ? value.join(',') : String(value);
}

const SWITCH: ReadonlyMap<string, boolean> = new Map([
  ['true', true],
  ['1', true],
  ['on', true],
  ['yes', true],
  ['false', false],
  ['0', false],
  ['off', false],
  ['no', false],
]);

function splitList(text: string): string[] {
  return text
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
}

function describeField(key: ConfigKey, type: z.ZodType): Field {
  const said = about.get(type);
  if (!said) throw new Error(`The field ${key} is not described.`);
  const inner = unwrap(type);
  const allowed = said.allowed ?? allowedOf(inner);
  const field = {
    ...said,
    key,
    env: envName(key),
    flag: flagName(key),
    kind: kindOf(inner),
    allowed: said.off === undefined ? allowed : `${allowed}, or ${said.off}`,
    defaultText: '',
    type,
  };
  const fallback = writeText(field, type.parse(undefined));
  return { ...field, defaultText: said.defaultText ?? (fallback === '' ? 'unset' : `\`${fallback}\``) };
}

function unwrap(type: z.ZodType): z.ZodType {
  if (type instanceof z.ZodDefault || type instanceof z.ZodNullable) return unwrap(type.unwrap() as z.ZodType);
  return type;
}

function kindOf(type: z.ZodType): Field['kind'] {
  if (type instanceof z.ZodNumber) return 'number';
  if (type instanceof z.ZodBoolean) return 'boolean';
  return type instanceof z.ZodArray ? 'list' : 'text';
}

function allowedOf(type: z.ZodType): string {
  if (type instanceof z.ZodNumber) {
    return `a ${type.format === 'safeint' ? 'whole ' : ''}number from ${type.minValue} to ${type.maxValue}`;
  }
  if (type instanceof z.ZodBoolean) return 'true or false';
  if (type instanceof z.ZodEnum) return `one of ${type.options.join(', ')}`;
  if (type instanceof z.ZodArray) return `a list, separated by commas, of ${choices(type.element as z.ZodType)}`;
  return 'a text';
}

function choices(type: z.ZodType): string {
  return type instanceof z.ZodEnum ? type.options.join(', ') : 'texts';
}
