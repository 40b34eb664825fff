import { MnerError } from '../errors.js';

/** A JSON object of which nothing is known. */
export type Json = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function objectAt(json: Json, name: string): Json | undefined {
  const value = json[name];
  return isObject(value) ? value : undefined;
}

export function objectsAt(json: Json | undefined, name: string): readonly Json[] {
  const value = json?.[name];
  return Array.isArray(value) ? value.filter(isObject) : [];
}

export function stringAt(json: Json | undefined, name: string): string | undefined {
  const value = json?.[name];
  return typeof value === 'string' ? value : undefined;
}

/** An id: a non-empty string, or a whole number that a double holds exactly. */
export function idAt(json: Json | undefined, name: string): string | undefined {
  const value = json?.[name];
  if (typeof value === 'string' && value !== '') return value;
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return String(value);
  return undefined;
}

/** @throws MnerError `no_id` */
export function requireId(...candidates: readonly (string | undefined)[]): string {
  const id = candidates.find((candidate) => candidate !== undefined);
  if (id === undefined) throw new MnerError('no_id');
  return id;
}

/** X writes a long tweet twice, cut and whole: the longest text wins. @throws MnerError `no_text` */
export function longestText(...candidates: readonly (string | undefined)[]): string {
  let longest: string | undefined;
  for (const candidate of candidates) {
    if (candidate !== undefined && (longest === undefined || candidate.length > longest.length)) longest = candidate;
  }
  if (longest === undefined) throw new MnerError('no_text');
  return longest;
}

/** RFC 3339 in UTC of any date that JavaScript reads (ISO 8601, or X's `Wed Oct 10 20:19:24 +0000 2018`). */
export function timeAt(json: Json | undefined, name: string): string | undefined {
  const value = stringAt(json, name);
  const time = value === undefined ? Number.NaN : Date.parse(value);
  return Number.isNaN(time) ? undefined : new Date(time).toISOString();
}

/** The given entries without those that are undefined, so that optional fields stay absent. */
export function present<T extends object>(entries: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(entries).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
}
