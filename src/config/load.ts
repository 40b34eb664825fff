import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readSecretFile } from '../credentials/text-file.js';
import { MnerError } from '../errors.js';
import { envName, FIELDS, type Field, fieldOf, flagName, readText } from './fields.js';
import { readConfigFile } from './file.js';
import { knownKeys, secretOfFileKey, unknownFlag } from './flags.js';
import { brokenLaws } from './laws.js';
import { nearest, unknownName } from './nearest.js';
import type { Config, ConfigKey } from './schema.js';

export interface LoadOptions {
  /** Configuration file of `--config`. @default the file that `MNER_CONFIG` names, else none */
  readonly file?: string | undefined;
  /** @default process.env */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Values of flags by key, as pickFlags gives them. @default none */
  readonly flags?: Readonly<Record<string, unknown>>;
  /** Cores that `threads: 0` stands for. @default what the system grants this process */
  readonly cores?: number;
}

export interface LoadedConfig {
  readonly config: Config;
  /** Where each value comes from, for people: `default`, a file, a variable or a flag. */
  readonly origins: Readonly<Record<ConfigKey, string>>;
}

/** A value as it was given, and by what. */
interface Given {
  readonly value: unknown;
  /** For example `MNER_HTTP_PORT`, `--http-port` or `http_port in mner.yaml`. */
  readonly named: string;
  readonly origin: string;
  /** The file of a secret that was given by one. */
  readonly file?: string;
}
type Layer = Map<ConfigKey, Given>;

/**
 * The effective configuration: the file, over it the environment, over that the flags.
 * @throws MnerError `bad_config` with one sentence for each thing that is wrong; it names the field, and what is allowed
 */
export function loadConfig(options: LoadOptions = {}): LoadedConfig {
  const env = options.env ?? process.env;
  const problems: string[] = [];
  const file = options.file ?? (env.MNER_CONFIG || undefined);
  const layers = [
    file === undefined ? new Map() : fileLayer(file, problems),
    envLayer(env, problems),
    flagLayer(options.flags ?? {}, problems),
  ];
  const given: Layer = new Map(layers.flatMap((layer) => [...layer]));
  const values: Partial<Record<ConfigKey, unknown>> = {};
  for (const field of FIELDS) {
    const found = given.get(field.key);
    const value = typeof found?.value === 'string' ? readText(field, found.value) : found?.value;
    const parsed = field.type.safeParse(value);
    if (parsed.success) values[field.key] = parsed.data;
    else if (found) problems.push(badValue(field, found));
  }
  // The laws look at whole configurations only.
  const config = values as Config;
  if (problems.length === 0) problems.push(...brokenLaws(config));
  if (problems.length > 0) throw new MnerError('bad_config', problems.join(' '));
  const resolved = resolveDefaults(config, given, options.cores);
  SECRET_FILES.set(resolved, new Map([...given].flatMap(([key, { file }]) => (file ? [[key, file]] : []))));
  return { config: resolved, origins: originsOf(given) };
}

/** Beside the configuration and not in it: where a secret lies is of use only to what reads it again when it rotates. */
const SECRET_FILES = new WeakMap<Config, ReadonlyMap<ConfigKey, string>>();

/** The file that a secret of this configuration came from; undefined where it was given itself, or for a changed copy. */
export function secretFile(config: Config, key: ConfigKey): string | undefined {
  return SECRET_FILES.get(config)?.get(key);
}

function fileLayer(path: string, problems: string[]): Layer {
  const layer: Layer = new Map();
  for (const [key, value] of Object.entries(readConfigFile(path))) {
    const named = `${key} in ${path}`;
    if (!knownKeys().includes(key)) {
      problems.push(unknownName(named, nearest(key, knownKeys()), '`mner config docs` lists the keys'));
    } else {
      put(layer, key, { value, named, origin: path }, problems);
    }
  }
  return layer;
}

function envLayer(env: Readonly<Record<string, string | undefined>>, problems: string[]): Layer {
  const layer: Layer = new Map();
  const keys = new Map(knownKeys().map((key) => [envName(key), key]));
  for (const { key, alias } of FIELDS) {
    // Empty means unset, as Compose and Kubernetes write a variable that has no value.
    if (alias !== undefined && env[alias]) layer.set(key, { value: env[alias], named: alias, origin: alias });
  }
  const own: Layer = new Map();
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith('MNER_') || value === undefined || isForOthers(name, value)) continue;
    const key = keys.get(name);
    if (key === undefined) {
      const meant = nearest(name, [...keys.keys(), 'MNER_CONFIG']);
      problems.push(unknownName(`The variable ${name}`, meant, '`mner config docs` lists the variables'));
    } else if (value !== '') {
      put(own, key, { value, named: name, origin: name }, problems);
    }
  }
  return new Map([...layer, ...own]);
}

function flagLayer(flags: Readonly<Record<string, unknown>>, problems: string[]): Layer {
  const layer: Layer = new Map();
  for (const [key, value] of Object.entries(flags)) {
    const flag = flagName(key);
    if (!knownKeys().includes(key)) problems.push(unknownFlag(flag).message);
    else put(layer, key, { value, named: flag, origin: flag }, problems);
  }
  return layer;
}

/** Enters a value, or the content of a secret's file, into its layer. */
function put(layer: Layer, key: string, given: Given, problems: string[]): void {
  const secret = secretOfFileKey(key);
  const field = fieldOf(secret ?? key)!;
  const other = layer.get(field.key);
  if (other) {
    problems.push(`${other.named} and ${given.named} must not both be set.`);
    return;
  }
  if (secret === undefined) {
    layer.set(field.key, given);
    return;
  }
  try {
    const file = String(given.value);
    const value = readSecretFile(file, `The file ${file}, which ${given.named} names,`);
    layer.set(field.key, { ...given, value, file });
  } catch (error) {
    if (!(error instanceof MnerError)) throw error;
    problems.push(error.message);
  }
}

/** `MNER_` variables that are none of ours: those of the tests, and those that Kubernetes sets for a service named `mner…`. */
function isForOthers(name: string, value: string): boolean {
  if (name === 'MNER_CONFIG' || name.startsWith('MNER_TEST_')) return true;
  if (/_SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)$/.test(name)) return true;
  if (/_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$/.test(name)) return true;
  return /_PORT$/.test(name) && /^(tcp|udp|sctp):\/\//.test(value);
}

function badValue(field: Field, { value, named }: Given): string {
  const must = `must be ${field.allowed}`;
  if (field.secret) return `${named} ${must}; what it is set to is not shown, since it may hold a secret.`;
  return `${named} is ${show(value)}, but ${must}.`;
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}

function resolveDefaults(config: Config, given: Layer, cores = availableParallelism()): Config {
  return {
    ...config,
    threads: config.threads === 0 ? cores : config.threads,
    models_dir: given.has('models_dir')
      ? resolve(config.models_dir)
      : fileURLToPath(new URL('../../models', import.meta.url)),
  };
}

function originsOf(given: Layer): Record<ConfigKey, string> {
  const origins = FIELDS.map(({ key }) => [key, given.get(key)?.origin ?? 'default']);
  return Object.fromEntries(origins) as Record<ConfigKey, string>;
}
