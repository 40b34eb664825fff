import { FIELDS, writeText } from './fields.js';
import type { Config } from './schema.js';

const HIDDEN = '***';

/** The configuration as it may be shown: secrets hidden whole, and in URLs the password and the query's values. */
export function redactConfig(config: Config): Record<string, unknown> {
  return Object.fromEntries(
    FIELDS.map((field) => {
      const value = config[field.key];
      if (!field.secret || value === null) return [field.key, value];
      return [field.key, redactSecret(writeText(field, value))];
    }),
  );
}

/** Hides a secret: of a URL only what gives access, of anything else everything. */
export function redactSecret(text: string): string {
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(text) || !URL.canParse(text)) return HIDDEN;
  const url = new URL(text);
  if (url.password !== '') url.password = HIDDEN;
  // ioredis takes options, `password` among them, from the query.
  for (const name of new Set(url.searchParams.keys())) url.searchParams.set(name, HIDDEN);
  return url.href;
}
